//! The definition as a text, for files with `metadata:`.

use super::definition::Definition;
use super::{go_json, reference};
use crate::problem::{Problem, Result};

/// The definition with expanded references, except those of volumes, which LinuxKit leaves, and
/// component names, which have no longer form.
pub fn expanded(definition: &Definition, is_component: &dyn Fn(&str) -> bool) -> Definition {
    let mut out = definition.clone();
    let kernel = out.kernel.iter_mut().map(|kernel| &mut kernel.image);
    let containers = out.onboot.iter_mut().chain(&mut out.onshutdown).chain(&mut out.services);
    for image in kernel.chain(&mut out.init).chain(containers.map(|container| &mut container.image)) {
        if !image.is_empty() && !is_component(image) {
            *image = reference::expand(image);
        }
    }
    out
}

/// YAML that parses to the same definition again. (LinuxKit prints null keys, which it then refuses.)
pub fn to_yaml(definition: &Definition) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(definition, options)
        .map_err(|e| Problem::new("cannot write the definition as YAML").because(e))
}

/// JSON, indented by four blanks.
pub fn to_json(definition: &Definition) -> Result<String> {
    go_json::to_string(definition).map_err(|e| Problem::new("cannot write the definition as JSON").because(e))
}

#[cfg(test)]
mod tests {
    use super::super::definition::*;
    use super::super::options::*;
    use super::super::resources::*;
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::option::of;
    use proptest::prelude::*;

    /// Texts that YAML readers like to take for something else.
    fn text() -> impl Strategy<Value = String> {
        let tricky = [
            "",
            " ",
            "yes",
            "No",
            "true",
            "null",
            "~",
            "0644",
            "0o17",
            "1_000",
            "1e3",
            ".5",
            "-",
            "- a",
            "a: b",
            "#x",
            "x #y",
            "'",
            "\"",
            "\\",
            "|",
            ">",
            "&a",
            "*a",
            "!x",
            "%",
            "a\nb",
            "a\n\n",
            "\n",
            "\ta",
            "a ",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "{}",
            "[]",
            "<<",
            "=",
            "2001-01-01",
            "0x1f",
            ".nan",
            "---",
            "...",
            "? x",
            "\r\n",
        ];
        prop_oneof![
            proptest::sample::select(tricky.map(str::to_owned).to_vec()),
            "[a-z/.:=-]{1,12}",
            // Any printable text and line ends; NUL and most controls cannot stand in YAML.
            "[\\PC\n\t]{0,20}",
        ]
        .prop_filter("templates are refused", |text| !text.starts_with("@pkg:"))
    }
    fn set() -> impl Strategy<Value = Option<String>> {
        of(text().prop_filter("empty is unset", |text| !text.is_empty()))
    }
    fn texts() -> impl Strategy<Value = Option<Vec<String>>> {
        of(vec(text(), 0..3))
    }
    fn id() -> impl Strategy<Value = Option<Id>> {
        of(prop_oneof![any::<u32>().prop_map(Id::Number), text().prop_map(Id::Name)])
    }
    fn image() -> impl Strategy<Value = String> {
        "[a-z]{1,5}(/[a-z]{1,5}){0,2}(:[0-9.v]{1,4})?"
    }
    fn mapping() -> impl Strategy<Value = IdMapping> {
        any::<(u32, u32, u32)>().prop_map(|(container, host, size)| IdMapping { container, host, size })
    }
    fn mount() -> impl Strategy<Value = Mount> {
        (text(), text(), text(), vec(text(), 0..3), vec(mapping(), 0..2)).prop_map(
            |(destination, kind, source, options, uid_mappings)| Mount {
                destination,
                kind,
                source,
                options,
                uid_mappings,
                gid_mappings: Vec::new(),
            },
        )
    }
    fn resources() -> impl Strategy<Value = Resources> {
        (
            of(any::<i64>()),
            of(any::<u64>()),
            of(any::<bool>()),
            text(),
            of(any::<u16>()),
            vec(any::<(i64, u64)>(), 0..2),
        )
            .prop_map(|(limit, shares, oom, cpus, leaf_weight, rates)| Resources {
                devices: vec![DeviceRule { allow: true, major: limit, ..DeviceRule::default() }],
                memory: Some(Memory {
                    limit,
                    kernel_tcp: limit,
                    swappiness: shares,
                    disable_oom_killer: oom,
                    ..Memory::default()
                }),
                cpu: Some(Cpu { shares, realtime_runtime: limit, cpus, ..Cpu::default() }),
                pids: limit.map(|limit| Pids { limit }),
                block_io: Some(BlockIo {
                    leaf_weight,
                    throttle_read_iops_device: rates
                        .iter()
                        .map(|(major, rate)| ThrottleDevice { major: *major, minor: 1, rate: *rate })
                        .collect(),
                    ..BlockIo::default()
                }),
                hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 4 }],
                network: Some(Network { class_id: Some(7), priorities: Vec::new() }),
            })
    }
    fn runtime() -> impl Strategy<Value = RuntimeOptions> {
        (texts(), of(vec(mount(), 0..2)), of((text(), any::<bool>())), set(), of(text())).prop_map(
            |(cgroups, mounts, interface, net, namespace)| RuntimeOptions {
                mkdir: cgroups.clone(),
                cgroups,
                mounts,
                interfaces: interface.map(|(name, create_in_root)| {
                    vec![Interface { name, create_in_root, ..Interface::default() }]
                }),
                bind_ns: net.map(|net| BindNamespaces { net: Some(net), ..BindNamespaces::default() }),
                namespace,
            },
        )
    }
    pub fn options() -> impl Strategy<Value = ContainerOptions> {
        let lists = (texts(), texts(), texts(), texts(), texts(), texts(), texts());
        let plain = (set(), set(), id(), of(vec(id().prop_map(|id| id.unwrap_or(Id::Number(0))), 0..2)));
        let more = (of(any::<bool>()), of(any::<i32>()), of(text()), of(resources()), of(runtime()));
        (
            lists,
            plain,
            more,
            of(vec(mount(), 0..2)),
            of(btree_map(text(), text(), 0..3)),
            of(vec(mapping(), 0..2)),
        )
            .prop_map(|(lists, plain, more, mounts, map, mappings)| {
                let (capabilities, capabilities_add, binds, binds_add, command, env, rlimits) = lists;
                let (cwd, net, uid, additional_gids) = plain;
                let (readonly, oom_score_adj, cgroups_path, resources, runtime) = more;
                ContainerOptions {
                    capabilities,
                    capabilities_add,
                    binds,
                    binds_add,
                    command,
                    env,
                    rlimits,
                    cwd,
                    net,
                    uid,
                    additional_gids,
                    readonly,
                    oom_score_adj,
                    cgroups_path,
                    resources,
                    runtime,
                    mounts,
                    sysctl: map.clone(),
                    annotations: map,
                    uid_mappings: mappings,
                    devices: Some(vec![Device {
                        path: "/dev/x".into(),
                        mode: "0644".into(),
                        ..Device::default()
                    }]),
                    ..ContainerOptions::default()
                }
            })
    }
    fn file() -> impl Strategy<Value = FileEntry> {
        ("[a-z]{1,4}(/[a-z]{1,4}){0,2}", text(), id(), any::<(bool, bool)>()).prop_map(
            |(path, text, uid, (directory, optional))| FileEntry {
                path,
                directory,
                contents: (!directory).then_some(text),
                uid,
                optional,
                mode: if optional { "0644".into() } else { String::new() },
                ..FileEntry::default()
            },
        )
    }
    fn definition() -> impl Strategy<Value = Definition> {
        let kernel = (image(), text(), of(text())).prop_map(|(image, cmdline, tar)| KernelEntry {
            image,
            cmdline,
            tar,
            ..KernelEntry::default()
        });
        let container = ("[a-z]{1,6}", image(), options()).prop_map(|(name, image, options)| Container {
            name,
            image,
            options,
            origin: Origin::default(),
        });
        (of(kernel), vec(image(), 0..3), vec(container, 0..3), vec(file(), 0..3), of(image())).prop_map(
            |(kernel, init, containers, files, volume)| Definition {
                kernel,
                init,
                services: containers.first().cloned().into_iter().collect(),
                onshutdown: containers.get(1).cloned().into_iter().collect(),
                onboot: containers,
                files,
                volumes: volume
                    .map(|image| Volume { name: "data".into(), image, readonly: true, ..Volume::default() })
                    .into_iter()
                    .collect(),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn metadata_parses_to_the_same_definition(x in definition()) {
            for text in [to_yaml(&x).unwrap(), to_json(&x).unwrap()] {
                let again = Definition::parse(&text, "x.yml");
                prop_assert!(again.is_ok(), "{}\n{}", again.unwrap_err(), text);
                prop_assert_eq!(again.unwrap(), x.clone(), "{}", text);
            }
        }

        #[test]
        fn merging_is_idempotent(own in options(), label in options()) {
            let once = own.clone().over(label.clone());
            prop_assert_eq!(once.clone().over(label.clone()), once.clone());
            prop_assert_eq!(once.clone().over(ContainerOptions::default()), once.clone());
            // What the YAML sets itself stays.
            prop_assert!(own.command.is_none() || once.command == own.command);
            prop_assert!(own.capabilities.is_none() || once.capabilities == own.capabilities);
        }
    }
}
