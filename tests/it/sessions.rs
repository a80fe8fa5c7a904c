//! Sessions, computed prefix hits and tiers: laws, and the closed form against the simulation.

use shardfit::catalog::Catalog;
use shardfit::estimate::estimated::Estimate;
use shardfit::request::{Request, Simulated, Task};
use shardfit::simulate::Outcome;

/// Llama 3.1 70B on four H100 under vLLM, with what a case adds.
const SERVER: &str = r#""model": "llama-3.1-70b", "gpu": "h100-sxm", "tp": 4, "engine": "vllm""#;
const AGENTS: &str = r#""sessions": "turns=12,system=4000,new=600,output=300,think=20s""#;

fn request(text: &str) -> Request {
    Request::from_json(&format!("{{{text}}}")).unwrap_or_else(|d| panic!("{text}: {d}"))
}

fn estimate(more: &str) -> Estimate {
    let resolved =
        request(&format!("{SERVER}, {more}")).resolve(Task::Estimate, &Catalog::built_in()).unwrap();
    resolved.estimate().unwrap().estimate
}

fn simulate(more: &str) -> Outcome {
    let resolved =
        request(&format!("{SERVER}, {more}")).resolve(Task::Simulate, &Catalog::built_in()).unwrap();
    match resolved.simulate().unwrap() {
        Simulated::Ran { outcome, .. } => *outcome,
        Simulated::CannotRun(reason, _) => panic!("{more}: {reason:?}"),
    }
}

fn hit(estimate: &Estimate) -> f64 {
    estimate.prefix_hit.unwrap_or(0.0)
}

fn rate(estimate: &Estimate) -> f64 {
    estimate.service.requests.get() * f64::from(estimate.replicas)
}

/// Relative difference.
fn off(a: f64, b: f64) -> f64 {
    (a / b - 1.0).abs()
}

#[test]
fn closed_form_and_simulation_agree_in_steady_state() {
    // From a cache that holds all to one that holds the system prompt alone.
    let cases = [
        format!(r#"{AGENTS}, "users": 20"#),
        format!(r#"{AGENTS}, "users": 60"#),
        format!(r#"{AGENTS}, "users": 85"#),
        format!(r#"{AGENTS}, "users": 150"#),
        format!(r#"{AGENTS}, "users": 150, "kv_tiers": "cpu=1TiB""#),
        r#""sessions": "chat", "users": 600"#.to_owned(),
        r#""sessions": "rag", "users": 40"#.to_owned(),
        r#""sessions": "coding-agent,turns=20", "users": 6"#.to_owned(),
        r#""sessions": "coding-agent,turns=20", "users": 12, "kv_tiers": "cpu=2TiB""#.to_owned(),
    ];
    for case in cases {
        let (closed, simulated) = (estimate(&case), simulate(&case));
        let (hits, requests) = (simulated.prefix_hit(), simulated.rate().get());
        assert!(off(hit(&closed), hits) < 0.05, "{case}: hits {} and {hits} as simulated", hit(&closed));
        assert!(off(rate(&closed), requests) < 0.05, "{case}: {} and {requests} req/s", rate(&closed));
    }
}

#[test]
fn more_cache_never_lowers_hits() {
    let mut last = 0.0;
    for gib in [6, 10, 14, 18, 24, 30] {
        let cache = format!(r#"{AGENTS}, "users": 90, "kv_cache_memory_bytes": "{gib}GiB""#);
        let hits = hit(&estimate(&cache));
        assert!(hits >= last - 1e-3, "{gib} GiB: {hits} after {last}");
        last = hits;
    }
    assert!(last > 0.6, "{last}");
    let simulated = [8, 16, 30].map(|gib| {
        simulate(&format!(r#"{AGENTS}, "users": 60, "kv_cache_memory_bytes": "{gib}GiB""#)).prefix_hit()
    });
    assert!(simulated.is_sorted(), "{simulated:?}");
}

#[test]
fn a_tier_never_slows_a_plan_that_may_ignore_it() {
    for users in [10, 60, 100, 200] {
        let with = |tiers: &str| estimate(&format!(r#"{AGENTS}, "users": {users}{tiers}"#));
        let plain = with("");
        for tiers in
            ["cpu=64GiB", "cpu=1TiB", "cpu=1TiB@1MB/s", "nvme=4TB", "cpu=256GiB,nvme=4TB,shared=20TB"]
        {
            let tiered = with(&format!(r#", "kv_tiers": "{tiers}""#));
            assert!(
                rate(&tiered) >= rate(&plain) * 0.999,
                "{users} {tiers}: {} {}",
                rate(&tiered),
                rate(&plain)
            );
            assert!(!tiered.tiers.is_empty());
        }
    }
    // One that is slower than computing is not used, and is said to be worth nothing.
    let slow = estimate(&format!(r#"{AGENTS}, "users": 200, "kv_tiers": "cpu=1TiB@1MB/s""#));
    assert!(!slow.tiers[0].used && slow.reuse.unwrap().loaded == 0.0);
    let fast = estimate(&format!(r#"{AGENTS}, "users": 200, "kv_tiers": "cpu=1TiB""#));
    let worth = fast.tiers[0];
    assert!(worth.used && worth.with.requests > worth.without.requests * 1.5, "{worth:?}");
    assert!(worth.with.ttft < worth.without.ttft && worth.with.cost_output < worth.without.cost_output);
}

#[test]
fn sessions_that_share_nothing_are_plain_requests() {
    let alone = r#""sessions": "turns=1,new=2048,output=512,think=5s", "concurrency": 16"#;
    let (sessions, plain) = (estimate(alone), estimate(r#""isl": 2048, "osl": 512, "concurrency": 16"#));
    assert_eq!(sessions.service, plain.service);
    assert_eq!(sessions.prefix_hit, Some(0.0));
    // Nor do those of an engine that keeps nothing.
    let off = r#""sessions": "turns=3,new=600,output=300,think=5s", "enable_prefix_caching": false, "concurrency": 16"#;
    let (sessions, plain) = (estimate(off), estimate(r#""isl": 1500, "osl": 300, "concurrency": 16"#));
    assert_eq!((sessions.prefix_hit, sessions.service), (Some(0.0), plain.service));
}

#[test]
fn sessions_that_find_everything_are_requests_with_that_prefix() {
    let sessions = estimate(&format!(r#"{AGENTS}, "concurrency": 4"#));
    // Of 9,550 tokens in the mean 8,950 were said before; of each turn's the last and part of a block are computed again.
    assert!((0.93..0.9372).contains(&hit(&sessions)), "{}", hit(&sessions));
    let share = hit(&sessions);
    let plain = estimate(&format!(r#""isl": 9550, "osl": 300, "prefix_hit": {share}, "concurrency": 4"#));
    assert!(off(sessions.service.ttft.get(), plain.service.ttft.get()) < 0.005);
    assert!(off(rate(&sessions), rate(&plain)) < 0.005);
}

#[test]
fn routing_that_does_not_look_at_prefixes_finds_fewer_of_them() {
    let of = |routing: &str| {
        let case = format!(r#"{AGENTS}, "users": 60, "replicas": 2, "routing": "{routing}""#);
        (hit(&estimate(&case)), simulate(&case).prefix_hit())
    };
    let (kept, kept_simulated) = of("prefix-aware");
    let (turns, turns_simulated) = of("round-robin");
    assert!(kept > turns + 0.05, "{kept} {turns}");
    assert!(
        off(kept, kept_simulated) < 0.05 && off(turns, turns_simulated) < 0.05,
        "{turns} {turns_simulated}"
    );
}

#[test]
fn requests_that_a_turn_sends_together_find_its_history_once_one_has_it() {
    let case = r#""sessions": "turns=6,system=2500,new=1200,output=180,think=8s,branches=3", "users": 20"#;
    let (closed, simulated) = (estimate(case), simulate(case));
    assert!(off(hit(&closed), simulated.prefix_hit()) < 0.05, "{} {}", hit(&closed), simulated.prefix_hit());
    assert!(
        off(rate(&closed), simulated.rate().get()) < 0.05,
        "{} {}",
        rate(&closed),
        simulated.rate().get()
    );
}

#[test]
fn host_memory_is_worth_what_was_measured_under_agents() {
    // MiniMax M2.5 on two MI300X under vLLM 0.19, 32 users of traces of Claude Code up to 100,000 tokens: 2.3 times as many
    // requests with LMCache's host memory, the mean time to the first token 3.0 times shorter
    // (https://blog.lmcache.ai, 12 May 2026). The size of the memory is not published.
    let text = r#""model": "minimax-m2.5", "cluster": "2xmi300x", "tp": 2, "kv": "bf16", "engine": "vllm@0.19",
        "sessions": "coding-agent,turns=27", "users": 32, "kv_tiers": "cpu=1TiB""#;
    let resolved = request(text).resolve(Task::Estimate, &Catalog::built_in()).unwrap();
    let worth = resolved.estimate().unwrap().estimate.tiers[0];
    let requests = worth.with.requests / worth.without.requests;
    let sooner = worth.without.ttft / worth.with.ttft;
    assert!(off(requests, 2.3) < 0.2, "{requests}");
    assert!(off(sooner, 3.0) < 0.2, "{sooner}");
}

#[test]
fn a_fleet_is_sized_for_users() {
    let text = format!(
        r#""model": "llama-3.1-70b", "gpu": "h100-sxm", "max_replica": 8, {AGENTS}, "users": 1000, "ttft": "1s""#
    );
    let sized = request(&text).resolve(Task::Size, &Catalog::built_in()).unwrap().size().unwrap();
    let (_, fleet) = sized.best().unwrap();
    // Each replica has its share of the thousand users, and room for a quarter more.
    let users = fleet.replica.reuse.unwrap().users * f64::from(fleet.replicas);
    assert!((1000.0..1000.0 + f64::from(fleet.replicas) + 1.0).contains(&users), "{users}");
    assert!(fleet.replica.service.ttft.get() <= 1.0 && fleet.utilisation < 1.0, "{}", fleet.utilisation);
    let tiered = text + r#", "kv_tiers": "cpu=1TiB""#;
    let sized = request(&tiered).resolve(Task::Size, &Catalog::built_in()).unwrap().size().unwrap();
    assert!(sized.best().unwrap().1.gpus < fleet.gpus, "{} {}", sized.best().unwrap().1.gpus, fleet.gpus);
}

#[test]
fn what_is_wrong_with_sessions_is_said() {
    let fault = |task: Task, more: &str| {
        let text = format!(r#"{{{SERVER}, {more}}}"#);
        match Request::from_json(&text).and_then(|r| r.resolve(task, &Catalog::built_in())) {
            Err(diagnostic) => diagnostic.to_string(),
            Ok(_) => panic!("{more} is resolved"),
        }
    };
    for (more, said) in [
        (r#""users": 5"#, "`users` needs `sessions`"),
        (r#""kv_tiers": "cpu=1TiB""#, "`kv_tiers` needs `sessions`"),
        (r#""sessions": "chatt""#, "chat"),
        (r#""sessions": "chat", "isl": 5"#, "`sessions` and `isl` exclude each other"),
        (r#""sessions": "chat", "prefix_hit": 0.5"#, "`sessions` and `prefix_hit` exclude each other"),
        (r#""sessions": "chat", "users": 5, "rate": 1"#, "`users` and `rate` exclude each other"),
        (r#""sessions": "chat,turns=500", "users": 5"#, "the last turn of a session has"),
        (r#""sessions": "chat", "kv_tiers": "cpu=1"#, "unit"),
        (r#""sessions": "chat", "routing": "robin"#, "round-robin"),
    ] {
        let more = if more.matches('"').count() % 2 == 1 { format!("{more}\"") } else { more.to_owned() };
        let text = fault(Task::Estimate, &more);
        assert!(text.contains(said), "{more}: {text}");
    }
}
