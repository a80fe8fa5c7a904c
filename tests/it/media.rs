//! Images, video and sound in prompts, through the binary; tokens by the rules of the models' processors.

use crate::common::{number, shardfit};
use serde_json::Value;

const PLACE: &str = "--gpu h100-sxm --tp 4 --isl 1024 --osl 256 --concurrency 16";

fn json(arguments: &str) -> Value {
    shardfit(&format!("{arguments} --format json")).exits(0).json()
}

fn tokens(model: &str, flags: &str, of: &str) -> f64 {
    let answer =
        shardfit(&format!("estimate {model} --gpu h200-sxm --tp 4 --concurrency 1 {flags} --format json"));
    number(&answer.json(), &format!("workload.{of}_tokens"))
}

#[test]
fn an_image_becomes_as_many_tokens_as_its_processor_says() {
    for (model, image, said) in [
        // 768/32 squared, and two around it; 28 instead of 32 rounds to 27 (smart_resize).
        ("qwen3-vl-30b-a3b", "768x768", 24 * 24 + 2),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "768x768", 27 * 27 + 2),
        // Area above 16,384 tokens of 32 pixels: scaled by sqrt(10000·10000/16777216), floor(10000/2.4414/32) = 128.
        ("qwen3-vl-30b-a3b", "10000x10000", 128 * 128 + 2),
        // Below 256 squared: up to it.
        ("qwen3-vl-30b-a3b", "100x100", 8 * 8 + 2),
        ("google/gemma-3-27b-it", "3000x200", 256 + 2),
        // Longest side 1,540, units of 28: 55 by 28 and a token for each row.
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "1540x784", 56 * 28),
        // One tile of 144 tokens and its separator; four tiles and the whole.
        ("llama-4-scout", "336x336", 145 + 2),
        ("llama-4-scout", "672x672", 5 * 145 + 2),
        // 280 tokens of 48 pixels: 16 by 16 of a square.
        ("google/gemma-4-31B-it", "1000x1000", 256 + 2),
    ] {
        assert_eq!(tokens(model, &format!("--images {image}"), "image"), f64::from(said), "{model} {image}");
    }
}

#[test]
fn a_video_is_frames_in_pairs_and_sound_tokens_a_second() {
    // 30 pairs of 640 by 360: 20 by 11 (360/32 rounds to 11).
    let video = tokens("qwen3-vl-30b-a3b", "--video 60s@1fps", "video");
    assert_eq!(video, 30.0 * f64::from(20 * 11 + 2));
    // Longer videos are scaled down to 25 million pixels of all frames.
    let long = tokens("qwen3-vl-30b-a3b", "--video 600s@2fps@1280x720", "video");
    assert!(long <= 600.0 * (25_165_824.0 / 1200.0 / 1024.0 + 2.0) && long > 600.0 * 10.0, "{long}");
    let sound = tokens("google/gemma-4-E4B-it", "--audio 30s", "audio");
    assert_eq!(sound, 750.0);
}

#[test]
fn no_images_are_the_plain_form() {
    let plain = json(&format!("estimate qwen3-vl-30b-a3b {PLACE}"));
    let none = json(&format!("estimate qwen3-vl-30b-a3b {PLACE} --images 0"));
    assert_eq!(plain, none);
    assert!(plain["encoder_ms"].is_null());
}

#[test]
fn more_images_never_start_sooner_nor_yield_more() {
    let of = |n: u64| json(&format!("estimate qwen3-vl-30b-a3b {PLACE} --images {n}x768x768"));
    let all: Vec<Value> = [0, 1, 2, 4, 8, 16].map(of).to_vec();
    assert!(all.is_sorted_by(|a, b| number(a, "ttft_ms") < number(b, "ttft_ms")));
    assert!(all.is_sorted_by(|a, b| number(a, "output_tokens_per_s") > number(b, "output_tokens_per_s")));
    assert!(all.is_sorted_by(|a, b| number(a, "tpot_ms") < number(b, "tpot_ms")));
    // Eight are encoded in no more than eight times one.
    let one = number(&all[1], "encoder_ms");
    let eight = number(&all[4], "encoder_ms");
    assert!(eight > 2.0 * one && eight <= 8.001 * one, "{one} {eight}");
    // Their tokens alone take less than they do.
    let tokens =
        json("estimate qwen3-vl-30b-a3b --gpu h100-sxm --tp 4 --isl 5648 --osl 256 --concurrency 16");
    assert!(number(&tokens, "ttft_ms") < number(&all[4], "ttft_ms"));
}

#[test]
fn the_simulation_encodes_what_the_closed_form_does() {
    let of = |command: &str| {
        json(&format!(
            "{command} qwen3-vl-30b-a3b --gpu h100-sxm --tp 4 --isl 1024 --osl 256 --concurrency 16 --images 4x768x768"
        ))
    };
    let (said, run) = (of("estimate"), of("simulate"));
    let ratio = number(&run, "output_tokens_per_s") / number(&said, "output_tokens_per_s");
    assert!((ratio - 1.0).abs() < 0.08, "{ratio}");
}

#[test]
fn what_a_model_or_a_server_does_not_take_is_refused() {
    for (arguments, says) in [
        ("llama-3.1-8b --images 1x768x768", "this model takes no images"),
        ("qwen3-vl-30b-a3b --images 8x768", "8x768x768"),
        ("qwen3-vl-30b-a3b --images 8x0x768", "from 1 to"),
        ("qwen3-vl-30b-a3b --images 8x768x768 --limit-mm-per-prompt 4", "the server takes 4"),
        ("qwen3-vl-30b-a3b --images 8x768x768 --language-model-only", "leave out --language-model-only"),
        ("qwen3-vl-30b-a3b --video 60s", "60s@1fps"),
        ("qwen3-vl-30b-a3b --audio 30s", "takes no sound"),
        ("qwen3-vl-30b-a3b --audio 30", "30s"),
    ] {
        let run = shardfit(&format!("estimate --gpu h100-sxm --tp 4 {arguments}"));
        if arguments.ends_with(" 8x768") {
            // Two numbers are one image of 8 by 768 pixels.
            assert_eq!(run.code, 0, "{}", run.stderr);
            continue;
        }
        assert_eq!(run.code, 2, "{arguments}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{arguments}: {}", run.stderr);
    }
}

#[test]
fn drafts_have_the_names_of_engines_and_published_acceptance() {
    let of = |flags: &str| json(&format!("estimate llama-3.1-8b --gpu h100-sxm --concurrency 1 {flags}"));
    let eagle = of("--speculate eagle3");
    assert_eq!(number(&eagle, "workload.speculation.draft_tokens"), 3.0);
    // 2.60 tokens a step on MT-bench (vLLM tests/v1/spec_decode/test_acceptance_length.py).
    assert!((number(&eagle, "workload.speculation.tokens_per_step") / 2.60 - 1.0).abs() < 0.03);
    let gain = number(&of(""), "tpot_ms") / number(&eagle, "tpot_ms");
    assert!((1.4..2.6).contains(&gain), "{gain}");
    for (flags, says) in [
        ("--speculate ngram", "depends on the text"),
        ("--speculate medusa", "not described"),
        ("--speculate eagel3", "eagle3"),
        ("--speculate draft_model --acceptance 0.6", "--draft-model"),
    ] {
        let run = shardfit(&format!("estimate llama-3.1-8b --gpu h100-sxm {flags}")).exits(2);
        assert!(run.stderr.contains(says), "{flags}: {}", run.stderr);
    }
}
