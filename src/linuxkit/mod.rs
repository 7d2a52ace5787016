//! LinuxKit image definitions: YAML, label merge, runtime configuration, layout.
