//! What the checks of a site are about: the settings that their answers depend on.

use super::model::Site;
use crate::site::{FIELDS, Field, Id, Section};

/// A check of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The connection to the endpoints.
    Probe,
    Certificates,
    /// The kernel, as this machine knows it.
    Kernels,
    /// What the release service and kernel.org have.
    Elsewhere,
    Components,
    Plan,
}

impl Ground {
    fn has(self, field: &Field) -> bool {
        use Section as S;
        match self {
            Self::Probe => matches!(field.section, S::Endpoints | S::Network | S::Certificates),
            Self::Certificates => {
                field.section == S::Certificates || matches!(field.id, Id::KeycloakUrl | Id::ExtraHosts)
            }
            Self::Kernels => field.section == S::Kernel && field.id != Id::KernelAppend,
            // Which modules are in it is nobody else's business.
            Self::Elsewhere => {
                let kernel = field.section == S::Kernel;
                let other = matches!(field.id, Id::OciReleaseSvc | Id::PublishKernelRepository);
                let mine = matches!(field.id, Id::KernelAppend | Id::ModuleGroupsOff | Id::KernelSource);
                (kernel && !mine) || other
            }
            Self::Components => {
                matches!(field.id, Id::Definition | Id::DebianMirror | Id::DebianSecurityMirror)
            }
            Self::Plan => true,
        }
    }

    /// The settings as they are now.
    pub fn of(self, site: &Site) -> String {
        let mut text = site.form.name.clone();
        for field in FIELDS.iter().filter(|field| self.has(field)) {
            text.push('\n');
            text.push_str(&site.form.site().text(field.id).unwrap_or_default());
        }
        if self.has(Id::CaFile.field()) {
            let pending = site.pending.iter().flat_map(|pending| {
                pending.ca.certificates.iter().chain(pending.server.iter().flat_map(|s| &s.certificates))
            });
            text.extend(pending.map(|certificate| format!("\n{}", certificate.info.fingerprint.hex())));
        }
        text
    }
}
