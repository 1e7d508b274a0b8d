//! Tokens: good on every member, for as long as they are used, and no longer than the password.

use std::time::Duration;

use keelson_proto::authpb::permission::Type;
use keelson_proto::etcdserverpb::{
    AuthRoleAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, RangeRequest,
};
use keelson_store::auth::TokenKind;
use tonic::{Code, Request};

use super::guarded::{Guarded, PASSWORD, add_user, auth, cheap, enable, token_of, with};
use crate::cluster::Cluster;
use crate::kv::{put_request, range_request};
use crate::{eventually, refusal};

fn invalid() -> (Code, String) {
    (Code::Unauthenticated, "etcdserver: invalid auth token".to_owned())
}

#[tokio::test]
async fn a_token_of_one_member_is_good_on_every_other_at_once() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let mut client = auth(cluster, 0).await;
    add_user(&mut client, root, "mover", &[(Type::Readwrite, "mover/", "mover0")]).await;
    for member in 0..3 {
        let token = token_of(&mut auth(cluster, member).await, "mover").await;
        for other in 0..3 {
            let mut kv = cluster.kv(other).await;
            kv.put(with(&token, put_request("mover/a", "1"))).await.expect("the token is good here");
            let serializable = RangeRequest { serializable: true, ..range_request("mover/a", "") };
            kv.range(with(&token, serializable)).await.expect("the token is good here");
            let mut as_http = Request::new(range_request("mover/a", ""));
            as_http.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
            kv.range(as_http).await.expect("the token is good here");
            let another = format!("{token}x");
            assert_eq!(refusal(kv.range(with(&another, range_request("mover/a", ""))).await), invalid());
        }
    }
}

/// Comparing a password takes long, on purpose; what happens to others meanwhile does not make it futile.
#[tokio::test]
async fn a_token_is_given_while_roles_change_all_the_time() {
    let cluster = Cluster::start_with(false, |options| options.auth.bcrypt_cost = 8);
    let mut client = auth(&cluster, 0).await;
    let root = enable(&mut client).await;
    let changes = async {
        for number in 0_u64.. {
            let role = AuthRoleAddRequest { name: format!("role {number}") };
            client.role_add(with(&root, role)).await.expect("root may");
        }
    };
    let mut other = auth(&cluster, 1).await;
    tokio::select! {
        () = changes => unreachable!("there are always more roles"),
        token = token_of(&mut other, "root") => assert!(!token.is_empty()),
    }
}

#[tokio::test]
async fn a_token_ends_with_the_password_and_with_the_user() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let mut client = auth(cluster, 1).await;
    let first = add_user(&mut client, root, "changer", &[(Type::Read, "changer", "")]).await;
    let mut kv = cluster.kv(2).await;
    kv.range(with(&first, range_request("changer", ""))).await.expect("the token is good");
    let change = AuthUserChangePasswordRequest {
        name: "changer".to_owned(),
        password: PASSWORD.to_owned(),
        ..AuthUserChangePasswordRequest::default()
    };
    client.user_change_password(with(root, change)).await.expect("root may");
    assert_eq!(refusal(kv.range(with(&first, range_request("changer", ""))).await), invalid());
    let second = token_of(&mut client, "changer").await;
    kv.range(with(&second, range_request("changer", ""))).await.expect("the token is good");
    let delete = AuthUserDeleteRequest { name: "changer".to_owned() };
    client.user_delete(with(root, delete)).await.expect("root may");
    assert_eq!(refusal(kv.range(with(&second, range_request("changer", ""))).await), invalid());
}

#[tokio::test]
async fn a_token_lives_while_it_is_used_anywhere_and_ends_when_nobody_does() {
    // A machine that is busy with other tests must not let it pass between two uses.
    const TTL: Duration = Duration::from_secs(8);
    const LOOKS_MAX: usize = 20;
    let cluster = Cluster::start_with(false, |options| {
        cheap(options);
        options.auth.token_ttl = TTL;
    });
    let token = enable(&mut auth(&cluster, 0).await).await;
    let (used, mut other) = (cluster.kv(1).await, cluster.kv(2).await);
    // Looking at a token is a use of it, so each of these is looked at once.
    let mut client = auth(&cluster, 0).await;
    let mut unused = Vec::new();
    while unused.len() < LOOKS_MAX {
        let asked = tokio::time::Instant::now();
        unused.push((asked, token_of(&mut client, "root").await));
    }
    let given = tokio::time::Instant::now();
    let mut looks: u32 = 0;
    eventually("the end of a token that nobody uses", || {
        let due = given.elapsed() > TTL / 2 * looks;
        looks += u32::from(due);
        let look = due.then(|| unused.pop().expect("unused tokens end, sooner or later"));
        let (mut kv, token) = (used.clone(), token.clone());
        async move {
            kv.range(with(&token, range_request("a", ""))).await.expect("it is in use");
            let (asked, look) = look?;
            let ended = kv.range(with(&look, range_request("a", ""))).await.err()?;
            assert_eq!((ended.code(), ended.message().to_owned()), invalid());
            assert!(asked.elapsed() >= TTL, "no token ends early");
            Some(())
        }
    })
    .await;
    other.range(with(&token, range_request("a", ""))).await.expect("uses elsewhere have kept it alive");
}

/// A cluster whose tokens are signed by a method with a key.
async fn jwt_cluster(folder: &std::path::Path, method: &str, pem: &str) -> Cluster {
    let key = folder.join("key.pem");
    std::fs::write(&key, pem).expect("the folder takes files");
    let option = format!("jwt,sign-method={method},priv-key={},ttl=10m", key.display());
    let kind: TokenKind = option.parse().expect("a kind of token");
    Cluster::start_with(false, move |options| {
        cheap(options);
        options.auth.token = kind.clone();
    })
}

#[tokio::test]
async fn a_jwt_is_good_on_every_member_until_permissions_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key").serialize_pem();
    let cluster = jwt_cluster(folder.path(), "ES256", &pem).await;
    let mut client = auth(&cluster, 0).await;
    let root = enable(&mut client).await;
    assert_eq!(root.split('.').count(), 3, "{root}");
    let jane = add_user(&mut client, &root, "jane", &[(Type::Readwrite, "j", "k")]).await;
    for member in 0..3 {
        let mut kv = cluster.kv(member).await;
        kv.put(with(&jane, put_request("j/a", "1"))).await.expect("the token is good here");
        assert_eq!(refusal(kv.put(with(&jane, put_request("k", "1"))).await).0, Code::PermissionDenied);
        let forged = format!("{}x", &jane[..jane.len() - 1]);
        assert_eq!(refusal(kv.put(with(&forged, put_request("j/a", "1"))).await), invalid());
    }
    client.role_add(with(&root, AuthRoleAddRequest { name: "r".to_owned() })).await.expect("root may");
    for member in 0..3 {
        let refused = refusal(cluster.kv(member).await.put(with(&jane, put_request("j/a", "2"))).await);
        assert_eq!(refused, (Code::InvalidArgument, "etcdserver: revision of auth store is old".to_owned()));
    }
    let again = token_of(&mut client, "jane").await;
    cluster.kv(1).await.put(with(&again, put_request("j/a", "2"))).await.expect("the new token is good");
}
