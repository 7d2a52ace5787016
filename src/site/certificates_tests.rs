use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// 2026-06-01.
const NOW: i64 = 1_780_272_000;

fn params(name: &str, authority: bool, years: (i32, i32)) -> CertificateParams {
    let names =
        if authority { vec![] } else { vec!["keycloak.example.com".to_owned(), "192.0.2.1".to_owned()] };
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str, years: (i32, i32)) -> Authority {
    let key = KeyPair::generate().unwrap();
    let params = params(name, true, years);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

impl Authority {
    fn sign(&self, params: &CertificateParams) -> String {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().pem()
    }
}

fn bundle(pem: &str) -> Bundle {
    Bundle::from_bytes(Path::new("x.pem"), pem.as_bytes()).unwrap()
}
fn refused(ca: &str, server: Option<&str>) -> String {
    check(bundle(ca), server.map(bundle), None, NOW).unwrap_err().to_string()
}

#[test]
fn a_certificate_is_shown_as_it_is() {
    let ca = authority("root", (2020, 2040));
    let server = ca.sign(&params("server", false, (2025, 2027)));
    let info = &bundle(&server).certificates[0].info;
    assert_eq!((info.subject.as_str(), info.issuer.as_str()), ("CN=server", "CN=root"));
    assert_eq!(info.names, ["keycloak.example.com", "192.0.2.1"]);
    assert_eq!((date(info.not_before).as_str(), date(info.not_after).as_str()), ("2025-01-01", "2027-01-01"));
    assert_eq!((info.key.as_str(), info.authority, info.self_signed), ("EC 256", false, false));
    let root = &bundle(&ca.pem).certificates[0].info;
    assert!(root.authority && root.self_signed && !root.placeholder);
}

#[test]
fn good_chains_are_taken() {
    let ca = authority("root", (2020, 2040));
    let leaf = params("server", false, (2025, 2027));
    let good =
        check(bundle(&ca.pem), Some(bundle(&ca.sign(&leaf))), Some("keycloak.example.com"), NOW).unwrap();
    assert!(good.warnings.is_empty() && !good.placeholder, "{:?}", good.warnings);
    // The authority itself as the server's certificate, and an intermediate of it.
    check(bundle(&ca.pem), Some(bundle(&ca.pem)), None, NOW).unwrap();
    let between_key = KeyPair::generate().unwrap();
    let between = params("between", true, (2020, 2040));
    let between_pem = between.signed_by(&between_key, &ca.issuer).unwrap().pem();
    check(bundle(&ca.pem), Some(bundle(&between_pem)), None, NOW).unwrap();
    let below = Authority { pem: between_pem.clone(), issuer: Issuer::new(between, between_key) };
    let chain = format!("{}{between_pem}", below.sign(&leaf));
    check(bundle(&ca.pem), Some(bundle(&chain)), None, NOW).unwrap();
    // Without a file of its own, the server is checked against the authorities.
    let both = check(bundle(&ca.pem), None, None, NOW).unwrap();
    assert_eq!(both.ca.pem(), both.server.pem());
    // An authority that is no root is worth a word.
    let warned = check(bundle(&between_pem), None, None, NOW).unwrap().warnings;
    assert!(warned[0].to_string().contains("self-signed"));
}

#[test]
fn what_an_image_cannot_use_is_refused() {
    let ca = authority("root", (2020, 2040));
    let leaf = params("server", false, (2025, 2027));
    let text = refused(&ca.sign(&leaf), None);
    assert!(text.contains("x.pem:1: CN=server is not an authority's certificate"), "{text}");
    let text = refused(&authority("old", (2020, 2026)).pem, None);
    assert!(text.contains("CN=old expired on 2026-01-01"), "{text}");
    let text = refused(&authority("new", (2030, 2040)).pem, None);
    assert!(text.contains("CN=new is not valid before 2030-01-01; the clock here says 2026-06-01"), "{text}");
    let other = authority("root", (2020, 2040));
    let text = refused(&ca.pem, Some(&other.sign(&leaf)));
    assert!(text.contains("does not lead to an authority"), "{text}");
    let text = refused(&ca.pem, Some(&other.pem));
    assert!(text.contains("no authority there has signed it"), "{text}");
    let text = refused(&ca.pem, Some(&ca.sign(&params("late", false, (2020, 2021)))));
    assert!(text.contains("CN=late expired") && !text.contains("does not lead"), "{text}");
    // An authority by name only: its key usage does not let it sign.
    let mut weak = params("weak", true, (2020, 2040));
    weak.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let text = refused(&weak.self_signed(&KeyPair::generate().unwrap()).unwrap().pem(), None);
    assert!(text.contains("is not an authority"), "{text}");
    // All problems at once.
    let text = refused(&format!("{}{}", authority("old", (2020, 2021)).pem, ca.sign(&leaf)), None);
    assert!(text.contains("CN=old expired") && text.contains("CN=server is not an authority"), "{text}");
}

#[test]
fn behaviour_10_expired_wrong_key_and_wrong_host_are_errors_before_a_build() {
    let ca = authority("root", (2020, 2040));
    let leaf = ca.sign(&params("server", false, (2025, 2027)));
    let of = |server: &str, host| check(bundle(&ca.pem), Some(bundle(server)), Some(host), NOW);
    of(&leaf, "keycloak.example.com").unwrap();
    let wrong_host = of(&leaf, "idp.example.com").unwrap_err().to_string();
    assert!(wrong_host.contains("not for idp.example.com"), "{wrong_host}");
    assert!(wrong_host.contains("it is for keycloak.example.com, 192.0.2.1"), "{wrong_host}");
    let expired = ca.sign(&params("server", false, (2020, 2021)));
    assert!(of(&expired, "keycloak.example.com").unwrap_err().to_string().contains("expired on 2021-01-01"));
    // Signed by another key under the same name.
    let other = authority("root", (2020, 2040)).sign(&params("server", false, (2025, 2027)));
    let wrong_key = of(&other, "keycloak.example.com").unwrap_err().to_string();
    assert!(wrong_key.contains("does not lead to an authority"), "{wrong_key}");
    // Placeholders are for no real server.
    let made = placeholder::make("x", &["keycloak.example.com".to_owned()]).unwrap();
    let checked = check(bundle(&made.ca), Some(bundle(&made.server)), Some("idp.example.com"), NOW).unwrap();
    assert!(checked.warnings[0].to_string().contains("not for idp.example.com"), "{:?}", checked.warnings);
}

#[test]
fn doubtful_things_are_said() {
    let ca = authority("root", (2020, 2040));
    let mut soon = params("soon", true, (2020, 2026));
    soon.not_after = date_time_ymd(2026, 6, 11);
    let soon = soon.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    assert!(check(bundle(&soon), None, None, NOW).unwrap().warnings[0].to_string().contains("expires soon"));
    let twice = bundle(&format!("{0}hello\n{0}", ca.pem));
    assert_eq!((twice.certificates.len(), twice.notes.len()), (1, 2));
    let der = bundle(&ca.pem).certificates[0].der.to_vec();
    let der = Bundle::from_bytes(Path::new("x.der"), &der).unwrap();
    assert_eq!(String::from_utf8(der.pem()).unwrap(), ca.pem.replace('\r', ""));
    assert!(der.notes[0].contains("DER"));
}

#[test]
fn content_that_is_no_certificate_is_refused_by_line() {
    let pem = String::from_utf8(pem_file::write([&[0x30, 0x03, 1, 2, 3][..]])).unwrap();
    let problem = Bundle::from_bytes(Path::new("x.pem"), format!("\n{pem}").as_bytes()).unwrap_err();
    assert!(problem.to_string().starts_with("x.pem:2: the content is not an X.509 certificate"));
    let mut der = bundle(&authority("root", (2020, 2040)).pem).certificates[0].der.to_vec();
    der.push(0);
    assert!(Bundle::from_bytes(Path::new("x"), &der).is_err());
    for cut in [1, 10, der.len() / 2] {
        assert!(Bundle::from_bytes(Path::new("x"), &der[..cut]).is_err());
    }
}

#[test]
fn placeholders_are_known_and_good_for_their_hosts() {
    let made = placeholder::make("x", &["keycloak.example.com".to_owned(), "192.0.2.7".to_owned()]).unwrap();
    let checked =
        check(bundle(&made.ca), Some(bundle(&made.server)), Some("keycloak.example.com"), NOW).unwrap();
    assert!(checked.placeholder && checked.warnings.is_empty(), "{:?}", checked.warnings);
    assert!(!made.ca.contains("PRIVATE") && !made.server.contains("PRIVATE"));
}
