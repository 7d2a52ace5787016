use super::*;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    assert!(Command::new("git").args(["init", "-q"]).current_dir(&folder).status().unwrap().success());
    folder
}

/// `file:line rule`, for those of one rule.
fn found(report: &Report, rule: &str) -> Vec<String> {
    let of_rule = report.findings.iter().filter(|finding| finding.rule == rule);
    of_rule.map(|f| format!("{}:{}", f.file.display(), f.line.unwrap_or(0))).collect()
}

const YAML: (&str, &str) =
    ("components/hook.yaml", "kernel:\n  image: kernel\n  cmdline: quiet\ninit:\n  - init\n");
const REUSE: (&str, &str) = (
    "REUSE.toml",
    "version = 1\n[[annotations]]\npath = \"components/**\"\nSPDX-FileCopyrightText = \"us\"\nSPDX-License-Identifier = \"MIT\"\n",
);

#[test]
fn this_project_is_in_order() {
    let report = lint(Path::new(env!("CARGO_MANIFEST_DIR")), false).unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.files > 100);
}

#[test]
fn texts_are_found_and_put_right() {
    let folder = project(&[
        YAML,
        ("a.toml", "x = 1 \ny = 2\r\n\n\n"),
        ("b.md", "# B\n\nbreak  \nblank   \nend"),
        ("c.snap", "as it came   \n\n\n"),
    ]);
    let report = lint(folder.path(), false).unwrap();
    assert_eq!(found(&report, "text"), ["a.toml:1", "a.toml:2", "a.toml:4", "b.md:4", "b.md:5"]);
    let report = lint(folder.path(), true).unwrap();
    assert_eq!(report.fixed, [Path::new("a.toml"), Path::new("b.md")]);
    assert_eq!(found(&report, "text"), [""; 0]);
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("a.toml"), "x = 1\ny = 2\n");
    assert_eq!(text("b.md"), "# B\n\nbreak  \nblank\nend\n");
    assert_eq!(lint(folder.path(), true).unwrap().fixed, [""; 0].map(PathBuf::from));
}

#[test]
fn markdown_that_leads_astray_is_found() {
    let text = "# T\n\n### Deep\n\n[a](b.md) [c](there.md#part-two) [d](there.md#nowhere) [e](https://x.example/y)\n\
                `[code](not.md)`\n\n```sh\n# no heading\n";
    let folder = project(&[YAML, ("a.md", text), ("there.md", "# There\n\n## Part two\n")]);
    let report = lint(folder.path(), false).unwrap();
    assert_eq!(found(&report, "markdown"), ["a.md:3", "a.md:5", "a.md:5", "a.md:8"]);
}

/// Each of these once went unseen, or was seen where it is not.
#[test]
fn markdown_is_read_as_markdown() {
    let text = "# T\n\n```sh\n# a comment\n```\n\n[a](#a-comment) [second](#again-1) [third](#again-2)\n\n\
                ## Again\n\n## Again\n\n[by reference][r] [nowhere][undefined] [in brackets]\n\n\
                [wrapped\nlink](not.md) ![picture](not.png)\n\n````md\n```\n[in code](no.md)\n````\n\n\
                [r]: gone.md\n";
    let folder = project(&[YAML, ("a.md", text)]);
    let report = lint(folder.path(), false).unwrap();
    let found: Vec<(usize, &str)> = report
        .findings
        .iter()
        .filter(|finding| finding.rule == "markdown")
        .map(|finding| (finding.line.unwrap(), finding.message.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        found,
        [(7, "#a-comment"), (7, "#again-2"), (13, "gone.md"), (13, "the"), (15, "not.md"), (16, "not.png")]
    );
}

#[test]
fn a_file_has_a_licence_in_its_head_beside_it_or_in_the_rules() {
    let tag = concat!("SPDX-License-", "Identifier");
    let head = format!("# {tag}: Apache-2.0\n");
    let folder = project(&[
        YAML,
        REUSE,
        ("head.sh", &head),
        ("none.rs", "fn main() {}\n"),
        ("picture.bin", "x\n"),
        ("picture.bin.license", &head),
    ]);
    let report = lint(folder.path(), false).unwrap();
    // MIT and Apache-2.0 are named, and neither text is there.
    assert_eq!(found(&report, "licence"), ["LICENSES/Apache-2.0.txt:0", "LICENSES/MIT.txt:0", "none.rs:0"]);
}

#[test]
fn a_file_without_a_licence_gets_that_of_the_project() {
    let folder = project(&[
        YAML,
        REUSE,
        ("LICENSES/MIT.txt", "Permission\n"),
        ("run", "#!/bin/sh -e\necho\n"),
        ("main.rs", "fn main() {}\n"),
        ("README.md", "# A\n"),
        ("data.bin", "x\n"),
    ]);
    let fixable = |report: &Report| {
        let findings = report.findings.iter().filter(|f| f.rule == "licence" && f.fixable);
        findings.map(|f| f.file.display().to_string()).collect::<Vec<_>>()
    };
    let report = lint(folder.path(), false).unwrap();
    assert_eq!(fixable(&report), ["README.md", "main.rs", "run"]);
    lint(folder.path(), true).unwrap();
    // What has no comments is named, and left alone.
    let report = lint(folder.path(), false).unwrap();
    assert_eq!(found(&report, "licence"), ["data.bin:0"]);
    let tag = concat!("SPDX-License-", "Identifier: MIT");
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("run"), format!("#!/bin/sh -e\n# {tag}\necho\n"));
    assert_eq!(text("main.rs"), format!("// {tag}\nfn main() {{}}\n"));
    assert_eq!(text("README.md"), format!("<!-- {tag} -->\n# A\n"));
}

#[test]
fn the_kernels_dockerfile_comes_to_name_the_recipe_of_today() {
    let old = format!("FROM x\nRUN echo \"{}  /kernel/build.sh\" | sha256sum -c\n", "0".repeat(64));
    let folder = project(&[YAML, REUSE, ("kernel/Dockerfile", &old), ("kernel/build.sh", "true \n")]);
    let report = lint(folder.path(), false).unwrap();
    assert_eq!(found(&report, "definition"), ["kernel/Dockerfile:2"]);
    // The recipe itself is changed by the same run.
    let report = lint(folder.path(), true).unwrap();
    assert_eq!(found(&report, "definition"), [""; 0]);
    let hex = crate::store::Digest::of(b"true\n").hex();
    let text = std::fs::read_to_string(folder.path().join("kernel/Dockerfile")).unwrap();
    assert!(text.contains(&hex), "{text}");
}

#[test]
fn every_bad_setting_of_a_profile_is_found_at_its_line() {
    let text = "schema_version = 1\n[endpoints]\ncluster_domain = \"a..b\"\n[kernel]\nsource = \"moon\"\npoint = \"x\"\n";
    let folder = project(&[YAML, REUSE, ("profiles/p.toml", text)]);
    let report = lint(folder.path(), false).unwrap();
    assert_eq!(found(&report, "definition"), ["profiles/p.toml:3", "profiles/p.toml:5", "profiles/p.toml:6"]);
}

#[test]
fn rules_take_precedence_as_they_say() {
    let tag = |licence: &str| format!("# {}{}: {licence}\n", "SPDX-License-", "Identifier");
    let rule = |path: &str, precedence: &str| {
        format!(
            "[[annotations]]\npath = \"{path}\"\nprecedence = \"{precedence}\"\nSPDX-FileCopyrightText = \"us\"\n\
             SPDX-License-Identifier = \"MIT-{precedence}\"\n"
        )
    };
    let rules = ["closest", "aggregate", "override"].map(|name| rule(&format!("{name}.sh"), name)).concat();
    let folder = project(&[
        YAML,
        (
            "REUSE.toml",
            &format!(
                "version = 1\n{rules}[[annotations]]\npath = [\"*.toml\", \"**/*.yaml\"]\nSPDX-FileCopyrightText = \"us\"\nSPDX-License-Identifier = \"MIT\"\n"
            ),
        ),
        ("closest.sh", &tag("own-closest")),
        ("aggregate.sh", &tag("own-aggregate")),
        ("override.sh", &tag("own-override")),
        ("beside.bin", "x\n"),
        ("beside.bin.license", &tag("own-beside")),
        ("silent.bin", "x\n"),
        ("silent.bin.license", "says nothing\n"),
    ]);
    let report = lint(folder.path(), false).unwrap();
    // No text is there, so that every licence that counts is named.
    assert_eq!(
        found(&report, "licence"),
        ["MIT-aggregate", "MIT-override", "MIT", "own-aggregate", "own-beside", "own-closest"]
            .map(|name| format!("LICENSES/{name}.txt:0"))
            .into_iter()
            .chain(["silent.bin:0".to_owned()])
            .collect::<Vec<_>>()
    );
}

#[test]
fn definitions_are_read_as_a_build_reads_them() {
    let folder = project(&[
        ("components/hook.yaml", "kernel:\n  image: kernel\nservces: []\n"),
        ("components/a/component.toml", "description = \"x\"\nnonsense = 1\n"),
        ("profiles/p.toml", "schema_version = 1\n[endpoints]\ncluster_domain = \"a..b\"\n"),
        ("kernel/modules.list", "outside\n"),
    ]);
    let report = lint(folder.path(), false).unwrap();
    let found = found(&report, "definition");
    for place in [
        "components/hook.yaml:3",
        "components/a/component.toml:2",
        "profiles/p.toml:3",
        "kernel/modules.list:1",
    ] {
        assert!(found.iter().any(|f| f == place), "{place}: {found:?} {:#?}", report.findings);
    }
}
