//! What a build is told beside its files: proxies, arguments, logins.

use super::engine::{Engine, client};
use super::support::{self, Registry};
use super::{BUILDERS, NOWHERE, Project, has, said, shared};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Whether any file below a folder has these words.
fn told(folder: &Path, words: &str) -> bool {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    let mut files = files.filter(|entry| entry.file_type().is_file());
    files.any(|file| memchr::memmem::find(&std::fs::read(file.path()).unwrap(), words.as_bytes()).is_some())
}

#[test]
fn a_build_is_told_the_profiles_proxies_and_the_components_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared();
    let engine = &shared.engine;
    let project = Project::new(folder.path());
    let profile = project.root.join("profiles/lab.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(profile, format!("{text}\n[network]\nhttp_proxy = \"http://site.test:1\"\n")).unwrap();
    let step = "RUN echo \"$http_proxy $HTTP_PROXY, $https_proxy, $no_proxy, $FTP_PROXY, $VERSION\"; echo $VERSION >/v\n";
    project.file("Dockerfile", &format!("FROM base:1\nARG VERSION=none\n{step}"));
    let build = |host: &str, builder: &str| {
        let mut command = project.build(host);
        command.env("HOOKOS_HTTPS_PROXY", "http://me:geheim@site.test:2").env("no_proxy", "one.test");
        command.env("http_proxy", "http://machine.test:3").env("DOCKER_BUILDKIT", builder);
        command
    };
    for (builder, version) in BUILDERS.into_iter().zip(["1.2", "1.3"]) {
        project.define(&format!("\n[build.args]\nVERSION = \"{version}\"\n"));
        let text = support::ok(build(&engine.socket, builder).output().unwrap());
        let line = "http://site.test:1 http://site.test:1, http://***@site.test:2, one.test, ,";
        has(&text, &[&format!("{line} {version}")]);
    }
    assert!(told(&project.root, "http://***@site.test:2"), "the log has the line");
    assert!(told(&project.store, "1.3\n") && !told(&project.store, "one.test"));

    // Another way out is no reason to build again; another argument is.
    support::ok(project.build(NOWHERE).output().unwrap());
    project.define("\n[build.args]\nVERSION = \"1.4\"\n");
    project.fails(&mut project.build(NOWHERE), &["no Docker engine"]);
    project.define("\n[build.args]\nVERSOIN = \"1.4\"\n");
    let output = project.build(NOWHERE).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    has(&said(&output), &["component.toml:8:1", "has no `ARG VERSOIN`", "it has: VERSION"]);

    // A Dockerfile that would write the password into the image.
    project.define("");
    for builder in BUILDERS {
        project.file("Dockerfile", "FROM base:1\nARG https_proxy\nENV way=$https_proxy\nRUN echo here\n");
        project.fails(&mut build(&engine.socket, builder), &["the proxy's password", "needs no `ARG`"]);
    }
    assert!(!told(&project.root, "geheim"));
}

#[test]
fn an_image_that_needs_a_login_is_pulled_with_it() {
    let folder = tempfile::tempdir().unwrap();
    // One of its own, whose caches are nobody else's.
    let engine = Engine::start(&folder.path().join("engine"), &[]);
    engine.base(folder.path());
    // bcrypt. In base64 this password has letters of the one alphabet that the other has not.
    let (user, password) = ("me", "to?~>:ken");
    let htpasswd = folder.path().join("htpasswd");
    let hash = "$2y$05$abcdefghijklmnopqrstuuCIx2kWnj2/Zpfl.2otvAU35Hi.eEsjq";
    std::fs::write(&htpasswd, format!("{user}:{hash}\n")).unwrap();
    let more = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", htpasswd.display());
    let registry = Registry::start(folder.path(), &more);
    let image = format!("{}/team/base:1", registry.host);

    // The Docker client's own login, and one of a helper.
    let config = folder.path().join("config");
    let docker = |words: &[&str]| {
        let settings = [("DOCKER_HOST", engine.socket.as_str()), ("DOCKER_CONFIG", config.to_str().unwrap())];
        support::ok(client(&settings).args(words).output().unwrap())
    };
    docker(&["login", "-u", user, "-p", password, &registry.host]);
    docker(&["tag", "base:1", &image]);
    docker(&["push", &image]);
    let (other, helper) = (folder.path().join("other"), folder.path().join("docker-credential-test"));
    std::fs::create_dir(&other).unwrap();
    let text = format!("{{\"credHelpers\": {{\"{}\": \"test\"}}}}", registry.host);
    std::fs::write(other.join("config.json"), text).unwrap();
    let answer = format!("{{\"Username\": \"{user}\", \"Secret\": \"{password}\"}}");
    std::fs::write(&helper, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());

    for builder in BUILDERS {
        let project = Project::new(&folder.path().join(builder));
        for config in [None, Some(&config), Some(&other)] {
            // It is neither here nor made before.
            docker(&["rmi", "--no-prune", &image]);
            docker(&["builder", "prune", "--all", "--force"]);
            project.file("tool", if config.is_some_and(|config| *config == other) { "one" } else { "other" });
            project.file("Dockerfile", &format!("ARG FROM={image}\nFROM $FROM\nCOPY tool /bin/tool\n"));
            let mut command = project.build(&engine.socket);
            command.env("DOCKER_BUILDKIT", builder).env("PATH", &path);
            match config {
                None => project.fails(&mut command, &[&registry.host, "auth"]),
                Some(config) => {
                    let text = support::ok(command.env("DOCKER_CONFIG", config).output().unwrap());
                    assert!(!text.contains(password), "{text}");
                }
            }
            docker(&["tag", "base:1", &image]);
        }
    }
}

#[test]
fn the_kernels_build_is_told_proxies_too_and_its_tarball_is_sent_from_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared();
    let project = Project::new(folder.path());
    let kernel = project.root.join("kernel");
    std::fs::create_dir_all(kernel.join("configs")).unwrap();
    std::fs::write(kernel.join("configs/tiny-5.10.y-x86_64"), "CONFIG_SWAP=y\n").unwrap();
    std::fs::write(kernel.join("build.sh"), "").unwrap();
    // A recipe that tells what it has, and makes no kernel.
    let step = "RUN echo \"by $https_proxy\"; cat /kernel/linux.tar; exit 3\n";
    let dockerfile = format!("ARG BASE\nFROM ${{BASE}}\nCOPY build.sh config linux.tar /kernel/\n{step}");
    std::fs::write(kernel.join("Dockerfile"), dockerfile).unwrap();
    let (tarball, link) = (folder.path().join("tarball"), folder.path().join("linux.tar"));
    std::fs::write(&tarball, "the source itself\n").unwrap();
    std::os::unix::fs::symlink(&tarball, &link).unwrap();
    let sha256 = hookos::store::Digest::of(b"the source itself\n").hex();
    let mut command = support::hookos(&project.root, &project.store, &["kernel", "lab"]);
    command
        .env("DOCKER_HOST", &shared.engine.socket)
        .env("HOOKOS_HTTPS_PROXY", "http://me:geheim@site.test:2")
        .args(["--kernel-source", "source", "--kernel-engine", "docker", "--kernel-config", "tiny"])
        .args(["--kernel-base", "base:1", "--kernel-tarball", link.to_str().unwrap()])
        .args(["--kernel-tarball-sha256", &sha256]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    has(&said(&output), &["by http://***@site.test:2", "the source itself", "code: 3", "kernel/Dockerfile"]);
    assert!(!said(&output).contains("geheim") && !told(&project.root, "geheim"));
}
