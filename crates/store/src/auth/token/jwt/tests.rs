use std::path::PathBuf;
use std::time::Duration;

use keelson_fuzzing::{Texts, fuzz};
use rcgen::KeyPair;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("the folder takes files");
        path
    }
}

fn options(method: SignMethod, public_key: Option<PathBuf>, private_key: Option<PathBuf>) -> Jwt {
    Jwt { method, public_key, private_key, ttl: Duration::from_secs(60) }
}

#[test]
fn each_method_signs_and_checks_and_takes_no_other_key() {
    let folder = Folder::new();
    let ec = |name, algorithm| {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let private = folder.file(&format!("{name}.pem"), &key.serialize_pem());
        (private, folder.file(&format!("{name}.pub"), &key.public_key_pem()))
    };
    let p256 = ec("p256", &rcgen::PKCS_ECDSA_P256_SHA256);
    let other = ec("other", &rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = ec("p384", &rcgen::PKCS_ECDSA_P384_SHA384);
    let ed = ec("ed", &rcgen::PKCS_ED25519);
    for (method, (private, public)) in
        [(SignMethod::Es256, &p256), (SignMethod::Es384, &p384), (SignMethod::EdDsa, &ed)]
    {
        let signer = Keys::read(&options(method, None, Some(private.clone()))).expect("keys");
        let both = Keys::read(&options(method, Some(public.clone()), Some(private.clone()))).expect("keys");
        let checker = Keys::read(&options(method, Some(public.clone()), None)).expect("keys");
        let token = signer.issue("jane", 7).expect("a token");
        for keys in [&signer, &both, &checker] {
            assert_eq!(keys.check(&token), Some(("jane".to_owned(), 7)), "{method:?}");
        }
        assert!(matches!(checker.issue("jane", 7), Err(Error::VerifyOnly)));
        assert_eq!(signer.check(&format!("{token}x")), None);
    }
    let stranger = Keys::read(&options(SignMethod::Es256, Some(other.1.clone()), None)).expect("keys");
    let signer = Keys::read(&options(SignMethod::Es256, None, Some(p256.0.clone()))).expect("keys");
    assert_eq!(stranger.check(&signer.issue("jane", 1).expect("a token")), None);
    let mismatch = Keys::read(&options(SignMethod::Es256, Some(other.1), Some(p256.0.clone())));
    assert!(matches!(mismatch, Err(Invalid::KeyMismatch)));
    assert!(matches!(Keys::read(&options(SignMethod::Es256, None, None)), Err(Invalid::MissingKey { .. })));
    assert!(matches!(Keys::read(&options(SignMethod::Rs256, None, Some(p256.0))), Err(Invalid::Key { .. })));
}

#[test]
fn a_secret_signs_and_a_token_of_the_past_or_of_another_method_is_none() {
    let folder = Folder::new();
    let secret = folder.file("secret", "a secret of some length that nobody guesses");
    let keys = Keys::read(&options(SignMethod::Hs256, None, Some(secret.clone()))).expect("keys");
    assert_eq!(keys.check(&keys.issue("jane", 3).expect("a token")), Some(("jane".to_owned(), 3)));
    let longer = Keys::read(&options(SignMethod::Hs512, None, Some(secret.clone()))).expect("keys");
    assert_eq!(keys.check(&longer.issue("jane", 3).expect("a token")), None);
    let over = Claims { username: "jane".to_owned(), revision: 3, exp: 1_000_000_000 };
    let sign = keys.sign.as_ref().expect("a private key");
    let token = jsonwebtoken::encode(&Header::new(keys.algorithm), &over, sign).expect("a token");
    assert_eq!(keys.check(&token), None);
    let never = serde_json::json!({"username": "jane", "revision": 3});
    let token = jsonwebtoken::encode(&Header::new(keys.algorithm), &never, sign).expect("a token");
    assert_eq!(keys.check(&token), None, "a token without an end is none");
}

#[test]
fn no_change_of_a_token_is_a_token() {
    let folder = Folder::new();
    let secret = folder.file("secret", "a secret of some length that nobody guesses");
    let keys = Keys::read(&options(SignMethod::Hs256, None, Some(secret))).expect("keys");
    let later = u64::MAX >> 12;
    let sign = keys.sign.as_ref().expect("a private key");
    let issue = |username: &str, revision| {
        let claims = Claims { username: username.to_owned(), revision, exp: later };
        jsonwebtoken::encode(&Header::new(keys.algorithm), &claims, sign).expect("a token")
    };
    let tokens = [issue("jane", 3), issue("root", u64::MAX)];
    // {"alg":"none"}, and the claims of root.
    let words = [".", "..", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIn0.", "eyJ1c2VybmFtZSI6InJvb3QifQ", "=", "A", "-"];
    fuzz!(Texts::new(&[tokens[0].as_str(), tokens[1].as_str()], &words), |token| {
        let user = keys.check(token);
        assert_eq!(user.is_some(), tokens.contains(token), "{token}");
        user.is_some()
    });
}
