// What the slices of a GPU are called; `build.rs` includes this file, so that what is built in goes by the same names
// as a user's own.

/// The identifier of a slice of a GPU: `h100-sxm` and `3g.40gb` make `h100-sxm-mig-3g.40gb`.
pub fn slice_id(gpu: &str, profile: &str) -> String {
    format!("{gpu}-mig-{profile}")
}

/// What else a slice is called: by the GPU's first other name before and behind the profile.
pub fn slice_aliases(aliases: &[&str], profile: &str) -> Vec<String> {
    let of = |name: &&str| [slice_id(name, profile), format!("mig-{profile}-{name}")];
    aliases.first().map(of).into_iter().flatten().collect()
}

/// The full name of a slice.
pub fn slice_name(gpu: &str, profile: &str) -> String {
    format!("{gpu}, MIG {profile}")
}
