//! Engines over TCP: with TLS, without, and by a context of the Docker client.

use super::engine::{Engine, client};
use super::{Project, has, support};
use std::path::Path;
use std::process::Command;

fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An authority, and a certificate of it for a server here and for a client, as Docker's documentation makes
/// them.
fn certificates(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let openssl = |words: &str| {
        let output = Command::new("openssl").current_dir(folder).args(words.split(' ')).output();
        support::ok(output.expect("openssl is needed: apt-get install openssl"));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=authority"));
    for (name, extensions) in [
        ("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
        ("client", "extendedKeyUsage=clientAuth\n"),
    ] {
        std::fs::write(folder.join("extensions"), extensions).unwrap();
        openssl(&format!("req {key} -keyout {name}-key.pem -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -out {name}.pem \
             -extfile extensions"
        ));
    }
    // As the Docker client names its own.
    std::fs::copy(folder.join("client.pem"), folder.join("cert.pem")).unwrap();
    std::fs::copy(folder.join("client-key.pem"), folder.join("key.pem")).unwrap();
}

#[test]
fn an_engine_is_reached_by_tls_by_tcp_and_by_a_context() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    certificates(&right);
    certificates(&wrong);
    let (far, near) = (format!("tcp://127.0.0.1:{}", port()), format!("tcp://127.0.0.1:{}", port()));
    let option = |name: &str, file: &str| format!("--{name}={}", right.join(file).display());
    let words = [
        format!("--host={far}"),
        "--tlsverify".to_owned(),
        option("tlscacert", "ca.pem"),
        option("tlscert", "server.pem"),
        option("tlskey", "server-key.pem"),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _far = Engine::start(&folder.path().join("far"), &words);
    let host = format!("--host={near}");
    let _near = Engine::start(&folder.path().join("near"), &[&host, "--tls=false"]);

    let config = folder.path().join("config");
    let docker = |words: &[&str]| {
        support::ok(client(&[("DOCKER_CONFIG", config.to_str().unwrap())]).args(words).output().unwrap())
    };
    let of = |host: &str, folder: &Path| {
        let file = |name: &str| folder.join(name).display().to_string();
        format!("host={host},ca={},cert={},key={}", file("ca.pem"), file("cert.pem"), file("key.pem"))
    };
    docker(&["context", "create", "far", "--docker", &of(&far, &right)]);
    docker(&["context", "create", "stranger", "--docker", &of(&far, &wrong)]);
    docker(&["context", "create", "near", "--docker", &format!("host={near}")]);
    docker(&["context", "create", "blind", "--docker", &format!("host={far},skip-tls-verify=true")]);

    let project = Project::new(folder.path());
    project.file("Dockerfile", "FROM scratch\nCOPY tool /bin/tool\n");
    let build = |number: u32| {
        // Something that no engine has made before.
        project.file("tool", &format!("{number}"));
        let mut command = project.build(&far);
        command.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", &config);
        command
    };
    let text = support::ok(build(1).env("DOCKER_HOST", &near).output().unwrap());
    has(&text, &["taking sha256:"]);
    project.fails(build(2).env("DOCKER_HOST", &far), &["no Docker engine answers", "HTTPS server"]);
    let secured = |command: &mut Command, folder: &Path| {
        command.env("DOCKER_HOST", &far).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", folder);
    };
    let mut command = build(3);
    secured(&mut command, &right);
    support::ok(command.output().unwrap());
    let mut command = build(4);
    secured(&mut command, &wrong);
    project.fails(&mut command, &["no Docker engine answers", "certificate"]);

    for (number, name) in [(5, "far"), (6, "near")] {
        support::ok(build(number).env("DOCKER_CONTEXT", name).output().unwrap());
    }
    project
        .fails(build(7).env("DOCKER_CONTEXT", "stranger"), &["the Docker client's context", "certificate"]);
    project.fails(build(8).env("DOCKER_CONTEXT", "blind"), &["context blind", "docker context update blind"]);
    docker(&["context", "use", "far"]);
    support::ok(build(9).output().unwrap());
}
