//! A site: fields, profiles, certificates, the site segment.
