use crate::site::field::Kind;
use crate::site::value::{Invalid, Value};

fn ok(kind: Kind, text: &str) {
    assert!(matches!(Value::parse(kind, text), Ok(Some(_))), "{text:?}: {:?}", Value::parse(kind, text));
}
fn bad(kind: Kind, text: &str) -> String {
    match Value::parse(kind, text) {
        Err(Invalid(why)) => why,
        other => panic!("{text:?} was taken: {other:?}"),
    }
}

#[test]
fn hosts() {
    for text in ["a", "keycloak.kind.internal", "192.0.2.1", "a-b.c1", "1a.example"] {
        ok(Kind::Host, text);
    }
    for text in [
        "https://a",
        "a:443",
        "a/b",
        "a_b",
        "a..b",
        "-a",
        "a.",
        "1.2.3",
        "256.1.1.1",
        "ä.de",
        "a b",
        "$(x)",
        "u@h",
    ] {
        bad(Kind::Host, text);
    }
    // The one thing that is wrong is named, not all that could be.
    for (text, why) in [
        ("a..b", "two dots follow each other"),
        (".a", "begins with a dot"),
        ("a.", "ends with a dot"),
        ("a.-b", "part \"-b\" begins with `-`"),
        ("a-.b", "part \"a-\" ends with `-`"),
    ] {
        let said = bad(Kind::Host, text);
        assert!(said.contains(why) && !said.contains(" or "), "{said}");
    }
    assert!(bad(Kind::Host, &"a".repeat(64)).contains("longer than 63"));
    ok(Kind::HostPort, "keycloak.kind.internal:443");
    for text in ["a:0", "a:65536", "a:", "a:+1", ":443", "https://a:1", "a:1:2"] {
        bad(Kind::HostPort, text);
    }
}

#[test]
fn proxies() {
    for text in [
        "http://proxy:3128",
        "proxy-us.example.com:911",
        "http://u:p%40@proxy:1/",
        "socks5://[2001:db8::1]:1080",
        "https://192.0.2.1",
    ] {
        ok(Kind::Proxy, text);
    }
    for text in [
        "ftp://a",
        "http://",
        "http://a:b:c",
        "http://a b",
        "http://[::1",
        "http://[x]:1",
        "http://a;b",
        "http://$a",
    ] {
        bad(Kind::Proxy, text);
    }
    for text in
        ["http://u:canary@ho st", "http://u:can$canary@h", "http://u:canary@h:99999", "x://u:canary@h"]
    {
        let why = bad(Kind::Proxy, text);
        assert!(!why.contains("canary"), "{why}");
    }
    bad(Kind::Url, "deb.example.com");
}

#[test]
fn lists() {
    assert_eq!(
        Value::parse(Kind::Hosts, " 10.0.0.1  a  b ,, 10.0.0.2 c").unwrap(),
        Some(Value::List(vec!["10.0.0.1 a b".into(), "10.0.0.2 c".into()]))
    );
    assert_eq!(Value::parse(Kind::Ips(3), " , ").unwrap(), None);
    bad(Kind::Ips(1), "10.0.0.1,10.0.0.2");
    bad(Kind::Hosts, "a 10.0.0.1");
    bad(Kind::Hosts, "10.0.0.1");
    bad(Kind::Hosts, "10.0.0.1 a\"b");
    ok(Kind::NoProxy, "localhost,127.0.0.0/8,.example.com,*.x.org,::1,fe80::/10,*,a:8080,[::1]");
    for text in ["10.0.0.0/33", "a b", "a;b", "http://x", "~"] {
        bad(Kind::NoProxy, text);
    }
    ok(Kind::Roles, "logging=syslog-ng,ntp=chrony");
    bad(Kind::Roles, "logging=a,logging=b");
    bad(Kind::Names, "../x");
    ok(Kind::Repository, "edge-orch/en/files/hook_os.v2");
    for text in ["Edge/x", "a//b", "/a", "a/", "a b", "a/-b", "host:5000/a"] {
        bad(Kind::Repository, text);
    }
    ok(Kind::Tag, "1.2.3-rc1_x");
    for text in [".x", "-x", "a/b", "a:b", "a b"] {
        bad(Kind::Tag, text);
    }
}

#[test]
fn numbers_and_choices() {
    bad(Kind::Integer(1, 65535), "0");
    bad(Kind::Integer(1, 65535), "99999999999999999999");
    bad(Kind::Choice(&["a"]), "b");
    bad(Kind::Bool, "maybe");
    bad(Kind::Text, "a\nb");
    ok(Kind::PasswordHash, "$6$saltsalt$abcdefgh.ijkl/0123");
    for text in ["canary", "$6$canary", "$1$canarycanarycanarycanary", "$6$canary canary canary:"] {
        assert!(!bad(Kind::PasswordHash, text).contains("canary"));
    }
    ok(Kind::Servers, "time.example.com,192.0.2.1,2001:db8::1");
}

#[test]
fn no_character_of_a_valid_value_is_refused() {
    use crate::site::FIELDS;
    for field in FIELDS {
        for c in field.example.chars() {
            assert_eq!(field.kind.refuses(c), None, "{} {c:?}", field.key);
        }
        assert!(field.kind.refuses('\n').is_some());
    }
    assert!(Kind::Host.refuses(' ').is_some() && Kind::HostPort.refuses('/').is_some());
}

proptest::proptest! {
    #[test]
    fn what_parses_could_be_typed(text in "[ -~é]{0,12}") {
        for field in crate::site::FIELDS {
            if matches!(Value::parse(field.kind, &text), Ok(Some(_))) {
                for c in text.trim().chars() {
                    proptest::prop_assert_eq!(field.kind.refuses(c), None, "{} {:?}", field.key, &text);
                }
            }
        }
    }
}
