//! Enums of reasons, each with its name in metrics and logs.

/// Declares an enum of reasons with `ALL`, which lists them in the order of their numbers, and
/// `name`. Callers count by `reason as usize`, so no list of theirs can miss one.
macro_rules! reasons {
    (
        $(#[$attribute:meta])*
        pub enum $enum:ident {
            $($(#[$doc:meta])* $name:ident = $label:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum {
            $($(#[$doc])* $name,)*
        }

        impl $enum {
            /// All reasons, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in metrics and logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

pub(crate) use reasons;
