//! Parts of a profile that a version may change.

/// Defines a part of an engine's profile together with the patch by which a version differs from it:
/// the same fields, each of which may be left out.
macro_rules! with_patch {
    ($(#[$meta:meta])* $name:ident, $patch:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        #[doc = concat!("What a version says differently of [`", stringify!($name), "`].")]
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $patch {
            $(#[doc = concat!("Instead of `", stringify!($field), "`.")] pub $field: Option<$type>,)*
        }

        impl $patch {
            /// Overwrites what it names.
            pub fn apply(&self, to: &mut $name) {
                $(if let Some(value) = &self.$field {
                    to.$field = value.clone();
                })*
            }

            /// Takes over what a stronger patch names.
            #[allow(dead_code, reason = "not every part is patched twice")]
            pub fn overlay(&mut self, stronger: &$patch) {
                $(if stronger.$field.is_some() {
                    self.$field.clone_from(&stronger.$field);
                })*
            }
        }
    };
}

pub(super) use with_patch;

/// The default of what is usual.
pub(super) fn yes() -> bool {
    true
}
