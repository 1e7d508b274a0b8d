//! Users, roles and what they may do: set up, enforced, and taken down again.

use keelson_proto::authpb::{Permission, UserAddOptions, permission};
use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest, AuthenticateRequest, DefragmentRequest,
    HashKvRequest, StatusRequest,
};
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::run::{Run, done, put, range, text};
use crate::show;
use crate::wire::Wire;

type Client = AuthClient<Wire>;

/// A request of the user who has the token; of nobody without one.
fn of<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("token", MetadataValue::try_from(token).expect("ASCII"));
    }
    request
}

fn user(name: &str, password: &str) -> AuthUserAddRequest {
    AuthUserAddRequest { name: name.to_owned(), password: password.to_owned(), ..Default::default() }
}

fn permission(kind: i32, key: &str, range_end: &str) -> Permission {
    Permission { perm_type: kind, key: key.to_owned().into(), range_end: range_end.to_owned().into() }
}

const READ: i32 = permission::Type::Read as i32;
const READ_WRITE: i32 = permission::Type::Readwrite as i32;

pub async fn all(run: &mut Run) {
    run.group("auth").await;
    let mut client = AuthClient::new(run.wire.clone());
    let answer = client.auth_status(AuthStatusRequest {}).await;
    run.note("status", text(answer, |response| format!("{} {}", response.enabled, response.auth_revision)));
    let answer = client.auth_enable(AuthEnableRequest {}).await;
    run.note("enable without root", done(answer));
    let answer = client.auth_disable(AuthDisableRequest {}).await;
    run.note("disable what is not enabled", done(answer));
    let request = AuthenticateRequest { name: "root".to_owned(), password: "x".to_owned() };
    let answer = client.authenticate(request).await;
    run.note("authenticate while it is not enabled", done(answer));
    users(run, &mut client).await;
    roles(run, &mut client).await;
    grants(run, &mut client).await;
    enforced(run, &mut client).await;
}

async fn users(run: &mut Run, client: &mut Client) {
    let no_password =
        AuthUserAddRequest { options: Some(UserAddOptions { no_password: true }), ..user("by-certificate", "") };
    for (name, request) in [
        ("add without a name", user("", "x")),
        ("add root", user("root", "secret")),
        ("add root again", user("root", "secret")),
        ("add jane", user("jane", "secret")),
        ("add one without a password", no_password),
        ("add one with an empty password", user("empty", "")),
    ] {
        let answer = client.user_add(request).await;
        run.note(format!("user: {name}"), done(answer));
    }
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        format!("{names:?}")
    };
    let answer = client.user_list(AuthUserListRequest {}).await;
    run.note("user: list", text(answer, |response| sorted(response.users)));
    for name in ["jane", "nobody", ""] {
        let answer = client.user_get(AuthUserGetRequest { name: name.to_owned() }).await;
        run.note(format!("user: get {name:?}"), text(answer, |response| sorted(response.roles)));
    }
    for name in ["jane", "nobody"] {
        let request =
            AuthUserChangePasswordRequest { name: name.to_owned(), password: "new".to_owned(), ..Default::default() };
        run.note(format!("user: change the password of {name}"), done(client.user_change_password(request).await));
    }
    for name in ["empty", "by-certificate", "nobody"] {
        let answer = client.user_delete(AuthUserDeleteRequest { name: name.to_owned() }).await;
        run.note(format!("user: delete {name}"), done(answer));
    }
}

async fn roles(run: &mut Run, client: &mut Client) {
    for (case, name) in [("add", "reader"), ("add again", "reader"), ("add without a name", ""), ("add root", "root")] {
        let answer = client.role_add(AuthRoleAddRequest { name: name.to_owned() }).await;
        run.note(format!("role: {case}"), done(answer));
    }
    // A grant of nothing would end etcd.
    for (case, role, wanted) in [
        ("a range", "reader", permission(READ, "a", "m")),
        ("it once more", "reader", permission(READ, "a", "m")),
        ("more of it", "reader", permission(READ_WRITE, "a", "m")),
        ("less of it", "reader", permission(READ, "a", "m")),
        ("a key", "reader", permission(READ, "own", "")),
        ("from a key on", "reader", permission(READ, "x", "\0")),
        ("a kind that there is not", "reader", permission(7, "q", "")),
        ("to an unknown role", "nobody", permission(READ, "a", "")),
        ("no key", "reader", permission(READ, "", "")),
    ] {
        let request = AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(wanted) };
        run.note(format!("role: grant {case}"), done(client.role_grant_permission(request).await));
    }
    for (case, role, key, range_end) in [
        ("of another kind", "reader", "q", ""),
        ("of no key", "reader", "", ""),
        ("from a key on", "reader", "x", "\0"),
        ("that was never given", "reader", "a", "b"),
        ("of an unknown role", "nobody", "a", ""),
    ] {
        let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
        let request = AuthRoleRevokePermissionRequest { role: role.to_owned(), key, range_end };
        run.note(format!("role: revoke a permission {case}"), done(client.role_revoke_permission(request).await));
    }
    odd_ranges(run, client).await;
    let show = |permissions: Vec<Permission>| {
        let one =
            |one: &Permission| format!("{} {}-{}", one.perm_type, show::text(&one.key), show::text(&one.range_end));
        let mut permissions: Vec<String> = permissions.iter().map(one).collect();
        permissions.sort_unstable();
        format!("{permissions:?}")
    };
    for role in ["reader", "nobody", ""] {
        let answer = client.role_get(AuthRoleGetRequest { role: role.to_owned() }).await;
        run.note(format!("role: get {role:?}"), text(answer, |response| show(response.perm)));
    }
    let answer = client.role_list(AuthRoleListRequest {}).await;
    let sorted = |mut roles: Vec<String>| {
        roles.sort_unstable();
        format!("{roles:?}")
    };
    run.note("role: list", text(answer, |response| sorted(response.roles)));
}

/// Of a role that nobody has: what etcd would make of them when somebody did is not asked.
async fn odd_ranges(run: &mut Run, client: &mut Client) {
    client.role_add(AuthRoleAddRequest { name: "odd".to_owned() }).await.expect("a role");
    for (case, key, range_end) in [("a range whose end is before it", "z", "y"), ("an empty range", "y", "y")] {
        let request =
            AuthRoleGrantPermissionRequest { name: "odd".to_owned(), perm: Some(permission(READ, key, range_end)) };
        run.note(format!("role: grant {case}"), done(client.role_grant_permission(request).await));
        let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
        let request = AuthRoleRevokePermissionRequest { role: "odd".to_owned(), key, range_end };
        run.note(format!("role: revoke {case}"), done(client.role_revoke_permission(request).await));
    }
    client.role_delete(AuthRoleDeleteRequest { role: "odd".to_owned() }).await.expect("it is deleted");
}

async fn grants(run: &mut Run, client: &mut Client) {
    let answer = client.auth_enable(AuthEnableRequest {}).await;
    run.note("enable without the role of root", done(answer));
    for (user, role) in
        [("jane", "reader"), ("jane", "reader"), ("jane", "nothing"), ("nobody", "reader"), ("root", "root")]
            .into_iter()
            .enumerate()
            .map(|(number, pair)| ((number, pair.0), pair.1))
    {
        let request = AuthUserGrantRoleRequest { user: user.1.to_owned(), role: role.to_owned() };
        let answer = client.user_grant_role(request).await;
        run.note(format!("grant {}: {role} to {}", user.0, user.1), done(answer));
    }
    for (user, role) in [("jane", "nothing"), ("nobody", "reader")] {
        let request = AuthUserRevokeRoleRequest { name: user.to_owned(), role: role.to_owned() };
        let answer = client.user_revoke_role(request).await;
        run.note(format!("revoke {role} from {user}"), done(answer));
    }
}

async fn enforced(run: &mut Run, client: &mut Client) {
    run.put("b", "1").await;
    let answer = client.auth_enable(AuthEnableRequest {}).await;
    run.note("enable", done(answer));
    let answer = client.authenticate(AuthenticateRequest { name: "jane".into(), password: "secret".into() }).await;
    run.note("authenticate by an old password", done(answer));
    let answer = client.authenticate(AuthenticateRequest { name: "nobody".into(), password: "new".into() }).await;
    run.note("authenticate an unknown user", done(answer));
    let mut token = async |name: &str, password: &str| {
        let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        client.authenticate(request).await.expect("a token").into_inner().token
    };
    let (jane, root) = (token("jane", "new").await, token("root", "secret").await);
    for (who, token) in [("jane", jane.as_str()), ("nobody", ""), ("a token of old", "made-up.1"), ("root", &root)] {
        let mut maintenance = MaintenanceClient::new(run.wire.clone());
        let answer = run.kv.range(of(token, range("b", ""))).await;
        run.note(format!("{who} reads a key"), text(answer, |response| format!("{}", response.kvs.len())));
        let answer = run.kv.range(of(token, range("n", ""))).await;
        run.note(format!("{who} reads another"), text(answer, |response| format!("{}", response.kvs.len())));
        let answer = run.kv.range(of(token, range("b", "z"))).await;
        run.note(format!("{who} reads a wide range"), text(answer, |response| format!("{}", response.kvs.len())));
        let answer = run.kv.put(of(token, put("n", "1"))).await;
        run.note(format!("{who} writes"), done(answer));
        run.note(format!("{who} lists users"), done(client.user_list(of(token, AuthUserListRequest {})).await));
        let own = AuthUserGetRequest { name: "jane".to_owned() };
        run.note(format!("{who} gets jane"), done(client.user_get(of(token, own)).await));
        let role = AuthRoleGetRequest { role: "reader".to_owned() };
        run.note(format!("{who} gets a role"), done(client.role_get(of(token, role)).await));
        run.note(
            format!("{who} adds a role"),
            done(client.role_add(of(token, AuthRoleAddRequest { name: format!("of {who}") })).await),
        );
        run.note(
            format!("{who} asks whether it is enabled"),
            done(client.auth_status(of(token, AuthStatusRequest {})).await),
        );
        run.note(format!("{who} asks for the status"), done(maintenance.status(of(token, StatusRequest {})).await));
        run.note(
            format!("{who} asks for a checksum"),
            done(maintenance.hash_kv(of(token, HashKvRequest::default())).await),
        );
        run.note(format!("{who} defragments"), done(maintenance.defragment(of(token, DefragmentRequest {})).await));
    }
    let delete = AuthUserDeleteRequest { name: "root".to_owned() };
    run.note("root is deleted", done(client.user_delete(of(&root, delete)).await));
    let delete = AuthRoleDeleteRequest { role: "root".to_owned() };
    run.note("the role of root is deleted", done(client.role_delete(of(&root, delete)).await));
    let revoke = AuthUserRevokeRoleRequest { name: "root".to_owned(), role: "root".to_owned() };
    run.note("its role is taken from root", done(client.user_revoke_role(of(&root, revoke)).await));
    run.note("jane disables it", done(client.auth_disable(of(&jane, AuthDisableRequest {})).await));
    run.note("root disables it", done(client.auth_disable(of(&root, AuthDisableRequest {})).await));
    for role in ["reader", "root", "of root", "nothing"] {
        let answer = client.role_delete(AuthRoleDeleteRequest { role: role.to_owned() }).await;
        run.note(format!("then delete the role {role}"), done(answer));
    }
    for name in ["jane", "root"] {
        let answer = client.user_delete(AuthUserDeleteRequest { name: name.to_owned() }).await;
        run.note(format!("then delete the user {name}"), done(answer));
    }
}
