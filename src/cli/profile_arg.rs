//! Which profile a command is for: named the same way everywhere.

/// `hookos COMMAND berlin` or `hookos COMMAND --profile berlin`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProfileArg {
    /// The profile: a name in profiles/ or ~/.config/hookos/profiles/, or a path (default: lab).
    #[arg(value_name = "PROFILE", conflicts_with = "profile_flag")]
    profile: Option<String>,
    #[command(flatten)]
    flag: ProfileFlag,
}

/// For commands whose first word is something else.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProfileFlag {
    /// The profile: a name in profiles/ or ~/.config/hookos/profiles/, or a path (default: lab).
    #[arg(id = "profile_flag", long = "profile", short, value_name = "PROFILE")]
    name: Option<String>,
}

impl ProfileArg {
    /// The profile that is named, if one is.
    pub fn given(&self) -> Option<&str> {
        self.flag.name.as_deref().or(self.profile.as_deref())
    }

    pub fn name(&self) -> &str {
        self.given().unwrap_or(DEFAULT)
    }
}

impl ProfileFlag {
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT)
    }
}

/// Needs nothing but Debian packages.
const DEFAULT: &str = "lab";
