//! Users, roles and permissions are managed, with etcd's answers to what cannot be done.

use keelson_proto::authpb::UserAddOptions;
use keelson_proto::authpb::permission::Type;
use keelson_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthUserAddRequest, AuthUserDeleteRequest, AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest,
    AuthUserRevokeRoleRequest, AuthenticateRequest, HashKvRequest,
};
use tonic::Code;

use super::guarded::{PASSWORD, add_user, auth, cheap, enable, grant, token_of, user_add, with};
use crate::cluster::Cluster;
use crate::kv::{put_request, range_request};
use crate::refusal;

fn role(name: &str) -> AuthRoleAddRequest {
    AuthRoleAddRequest { name: name.to_owned() }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_etcds_words() {
    let cluster = Cluster::start_with(false, cheap);
    let mut client = auth(&cluster, 1).await;
    let status = client.auth_status(AuthStatusRequest {}).await.expect("a status").into_inner();
    assert_eq!((status.enabled, status.auth_revision), (false, 1));
    let wrong = |code, text: &str| (code, format!("etcdserver: {text}"));
    let (invalid, failed) = (Code::InvalidArgument, Code::FailedPrecondition);
    let login = |password: &str| AuthenticateRequest { name: "root".to_owned(), password: password.to_owned() };
    let root_role = || AuthUserGrantRoleRequest { user: "root".to_owned(), role: "root".to_owned() };
    let user_role = |role: &str| AuthUserGrantRoleRequest { user: "root".to_owned(), role: role.to_owned() };

    assert_eq!(refusal(client.authenticate(login("x")).await), wrong(failed, "authentication is not enabled"));
    assert_eq!(refusal(client.auth_enable(AuthEnableRequest {}).await), wrong(failed, "root user does not exist"));
    assert_eq!(refusal(client.user_add(user_add("")).await), wrong(invalid, "user name is empty"));
    client.user_add(user_add("root")).await.expect("a user");
    assert_eq!(refusal(client.user_add(user_add("root")).await), wrong(failed, "user name already exists"));
    assert_eq!(
        refusal(client.auth_enable(AuthEnableRequest {}).await),
        wrong(failed, "root user does not have root role")
    );
    let unknown = AuthUserGrantRoleRequest { user: "none".to_owned(), role: "root".to_owned() };
    assert_eq!(refusal(client.user_grant_role(unknown).await), wrong(failed, "user name not found"));
    assert_eq!(refusal(client.user_grant_role(user_role("none")).await), wrong(failed, "role name not found"));
    let revoke = AuthUserRevokeRoleRequest { name: "root".to_owned(), role: "root".to_owned() };
    assert_eq!(
        refusal(client.user_revoke_role(revoke.clone()).await),
        wrong(failed, "role is not granted to the user")
    );
    assert_eq!(refusal(client.role_add(role("")).await), wrong(invalid, "role name is empty"));
    client.role_add(role("r")).await.expect("a role");
    assert_eq!(refusal(client.role_add(role("r")).await), wrong(failed, "role name already exists"));
    let nothing = AuthRoleGrantPermissionRequest { name: "r".to_owned(), perm: None };
    assert_eq!(refusal(client.role_grant_permission(nothing).await), wrong(invalid, "permission not given"));
    for (key, range_end) in [("", ""), ("b", "a"), ("b", "b")] {
        let backwards = grant("r", Type::Read, key, range_end);
        assert_eq!(
            refusal(client.role_grant_permission(backwards).await),
            wrong(invalid, "invalid auth management"),
            "{key:?} {range_end:?}"
        );
    }
    let other = AuthRoleRevokePermissionRequest { role: "r".to_owned(), key: "a".into(), ..Default::default() };
    assert_eq!(
        refusal(client.role_revoke_permission(other).await),
        wrong(failed, "permission is not granted to the role")
    );
    let delete = |name: &str| AuthRoleDeleteRequest { role: name.to_owned() };
    assert_eq!(refusal(client.role_delete(delete("none")).await), wrong(failed, "role name not found"));
    let delete_user = |name: &str| AuthUserDeleteRequest { name: name.to_owned() };
    assert_eq!(refusal(client.user_delete(delete_user("none")).await), wrong(failed, "user name not found"));

    client.user_grant_role(root_role()).await.expect("a role");
    // root's, granting again changing nothing: root, role r, and root's role are three changes.
    client.user_grant_role(root_role()).await.expect("it has it already");
    let status = client.auth_status(AuthStatusRequest {}).await.expect("a status").into_inner();
    assert_eq!((status.enabled, status.auth_revision), (false, 4));
    client.auth_enable(AuthEnableRequest {}).await.expect("it can be switched on");
    client.auth_enable(AuthEnableRequest {}).await.expect_err("nobody may now");
    let status = client.auth_status(AuthStatusRequest {}).await.expect("anybody may ask").into_inner();
    assert_eq!((status.enabled, status.auth_revision), (true, 4));
    assert_eq!(
        refusal(client.authenticate(login("wrong")).await),
        wrong(invalid, "authentication failed, invalid user ID or password")
    );
    let root = token_of(&mut client, "root").await;
    client.auth_enable(with(&root, AuthEnableRequest {})).await.expect("it is on");
    for refused in [
        refusal(client.user_delete(with(&root, delete_user("root"))).await),
        refusal(client.user_revoke_role(with(&root, revoke)).await),
        refusal(client.role_delete(with(&root, delete("root"))).await),
    ] {
        assert_eq!(refused, wrong(invalid, "invalid auth management"));
    }
    client.auth_disable(with(&root, AuthDisableRequest {})).await.expect("root may");
    let status = client.auth_status(AuthStatusRequest {}).await.expect("a status").into_inner();
    assert_eq!((status.enabled, status.auth_revision), (false, 5));
    cluster.kv(2).await.put(put_request("a", "1")).await.expect("everybody may again");
}

#[tokio::test]
async fn users_see_themselves_and_root_sees_all() {
    let cluster = Cluster::start_with(false, cheap);
    let mut client = auth(&cluster, 0).await;
    let root = enable(&mut client).await;
    let revision = cluster.members[0].handle.revision();
    let permissions = [(Type::Write, "b", ""), (Type::Read, "a", "b"), (Type::Readwrite, "a", "b")];
    let jane = add_user(&mut client, &root, "jane", &permissions).await;
    // Nothing of this is in the keys' history.
    assert_eq!(cluster.members[0].handle.revision(), revision);

    let get = |name: &str| AuthUserGetRequest { name: name.to_owned() };
    let roles = client.user_get(with(&jane, get("jane"))).await.expect("herself").into_inner().roles;
    assert_eq!(roles, ["jane"]);
    assert_eq!(refusal(client.user_get(with(&jane, get("root"))).await).0, Code::PermissionDenied);
    let role = |name: &str| AuthRoleGetRequest { role: name.to_owned() };
    let perm = client.role_get(with(&jane, role("jane"))).await.expect("her own").into_inner().perm;
    // The second grant on the same range replaced the first.
    let perm: Vec<_> = perm.iter().map(|perm| (perm.perm_type(), &perm.key[..], &perm.range_end[..])).collect();
    assert_eq!(perm, [(Type::Readwrite, &b"a"[..], &b"b"[..]), (Type::Write, b"b", b"")]);
    for refused in [
        refusal(client.role_get(with(&jane, role("root"))).await),
        refusal(client.user_list(with(&jane, AuthUserListRequest {})).await),
        refusal(client.role_list(with(&jane, AuthRoleListRequest {})).await),
        refusal(client.user_add(with(&jane, user_add("eve"))).await),
        refusal(client.auth_disable(with(&jane, AuthDisableRequest {})).await),
    ] {
        assert_eq!(refused, (Code::PermissionDenied, "etcdserver: permission denied".to_owned()));
    }
    let users = client.user_list(with(&root, AuthUserListRequest {})).await.expect("root may").into_inner().users;
    assert_eq!(users, ["jane", "root"]);
    let roles = client.role_list(with(&root, AuthRoleListRequest {})).await.expect("root may").into_inner().roles;
    assert_eq!(roles, ["jane"]);

    // A user without a password comes by a certificate only; a hash may be brought along.
    let none = AuthUserAddRequest {
        name: "machine".to_owned(),
        options: Some(UserAddOptions { no_password: true }),
        ..AuthUserAddRequest::default()
    };
    client.user_add(with(&root, none)).await.expect("a user");
    let login = |name: &str| AuthenticateRequest { name: name.to_owned(), password: PASSWORD.to_owned() };
    let refused = refusal(client.authenticate(login("machine")).await);
    assert_eq!(refused.1, "auth: authentication failed, password was given for no password user");
    // A hash that a request brings along is etcd's own business, and makes no password.
    let hash = bcrypt::hash(PASSWORD, 4).expect("a hash");
    let hashed_password = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
    let brought = AuthUserAddRequest { name: "brought".to_owned(), hashed_password, ..AuthUserAddRequest::default() };
    client.user_add(with(&root, brought)).await.expect("a user");
    let refused = refusal(client.authenticate(login("brought")).await);
    assert_eq!(refused.1, "etcdserver: authentication failed, invalid user ID or password");

    // Equal on all members, with or without users.
    let mut hashes = Vec::new();
    for member in 0..3 {
        cluster.kv(member).await.range(with(&root, range_request("a", ""))).await.expect("a range");
        let mut maintenance = cluster.maintenance(member).await;
        let hash = maintenance.hash_kv(with(&root, HashKvRequest { revision: 0 })).await.expect("a hash").into_inner();
        hashes.push(hash.hash);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

#[tokio::test]
async fn what_is_granted_or_revoked_counts_at_once_on_every_member() {
    let cluster = Cluster::start_with(false, cheap);
    let mut client = auth(&cluster, 0).await;
    let root = enable(&mut client).await;
    let jane = add_user(&mut client, &root, "jane", &[(Type::Readwrite, "j", "k")]).await;
    let mut kvs = [cluster.kv(0).await, cluster.kv(1).await, cluster.kv(2).await];
    // Writes go on in the background, on all members, while permissions come and go.
    let mut writers = tokio::task::JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for kv in &kvs {
        let (mut kv, jane, stopped) = (kv.clone(), jane.clone(), stopped.clone());
        writers.spawn(async move {
            while !*stopped.borrow() {
                if let Err(status) = kv.put(with(&jane, put_request("j/busy", "1"))).await {
                    let known = [Code::PermissionDenied, Code::InvalidArgument].contains(&status.code());
                    assert!(known, "{status:?}");
                }
            }
        });
    }
    let revoke = || AuthUserRevokeRoleRequest { name: "jane".to_owned(), role: "jane".to_owned() };
    for round in 0..10 {
        auth(&cluster, round % 3).await.user_revoke_role(with(&root, revoke())).await.expect("root may");
        for kv in &mut kvs {
            assert_eq!(refusal(kv.put(with(&jane, put_request("j/a", "1"))).await).0, Code::PermissionDenied);
            assert_eq!(refusal(kv.range(with(&jane, range_request("j/a", ""))).await).0, Code::PermissionDenied);
        }
        let grant = AuthUserGrantRoleRequest { user: "jane".to_owned(), role: "jane".to_owned() };
        auth(&cluster, (round + 1) % 3).await.user_grant_role(with(&root, grant)).await.expect("root may");
        for kv in &mut kvs {
            kv.put(with(&jane, put_request("j/a", "1"))).await.expect("it was granted");
            kv.range(with(&jane, range_request("j/a", ""))).await.expect("it was granted");
        }
    }
    stop.send_replace(true);
    while let Some(writer) = writers.join_next().await {
        writer.expect("only refusals came");
    }
}
