# A Homebrew formula that builds from a release's source. `brew install --formula packaging/shardfit.rb` takes it from a
# checkout; a tap fills in `url` and `sha256` of the release.
class Shardfit < Formula
  desc "Which configuration of an LLM server should I deploy?"
  homepage "https://crates.io/crates/shardfit"
  url "https://static.crates.io/crates/shardfit/shardfit-0.1.0.crate"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"shardfit", "completions")
  end

  test do
    assert_match "tok/s", shell_output("#{bin}/shardfit plan llama-3.1-8b --cluster 1xh100-sxm --top 1")
  end
end
