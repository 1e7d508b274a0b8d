//! A cluster with authentication on, and requests in somebody's name.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use keelson_proto::authpb::Permission;
use keelson_proto::authpb::permission::Type;
use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest,
};
use keelson_store::Options;
use tonic::Request;
use tonic::transport::Channel;

use crate::cluster::Cluster;

/// What every user's password is.
pub const PASSWORD: &str = "correct horse";

pub type Auth = AuthClient<Channel>;

pub async fn auth(cluster: &Cluster, member: usize) -> Auth {
    AuthClient::new(cluster.channel(member).await)
}

/// A request with a token; without one when it is empty.
pub fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("token", token.parse().expect("a token is text"));
    }
    request
}

pub fn user_add(name: &str) -> AuthUserAddRequest {
    AuthUserAddRequest { name: name.to_owned(), password: PASSWORD.to_owned(), ..AuthUserAddRequest::default() }
}

pub fn grant(name: &str, kind: Type, key: &str, range_end: &str) -> AuthRoleGrantPermissionRequest {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    let perm = Some(Permission { perm_type: kind.into(), key, range_end });
    AuthRoleGrantPermissionRequest { name: name.to_owned(), perm }
}

pub async fn token_of(auth: &mut Auth, name: &str) -> String {
    let request = AuthenticateRequest { name: name.to_owned(), password: PASSWORD.to_owned() };
    auth.authenticate(request).await.expect("the password is right").into_inner().token
}

/// Adds root, who has the role root, and switches authentication on; gives root's token.
pub async fn enable(auth: &mut Auth) -> String {
    auth.user_add(user_add("root")).await.expect("a user");
    let root = AuthUserGrantRoleRequest { user: "root".to_owned(), role: "root".to_owned() };
    auth.user_grant_role(root).await.expect("a role");
    auth.auth_enable(AuthEnableRequest {}).await.expect("it can be switched on");
    token_of(auth, "root").await
}

/// Adds a user with permissions, by a role of the same name; gives the user's token.
pub async fn add_user(auth: &mut Auth, root: &str, name: &str, permissions: &[(Type, &str, &str)]) -> String {
    auth.user_add(with(root, user_add(name))).await.expect("a user");
    auth.role_add(with(root, AuthRoleAddRequest { name: name.to_owned() })).await.expect("a role");
    for (kind, key, range_end) in permissions {
        auth.role_grant_permission(with(root, grant(name, *kind, key, range_end))).await.expect("a permission");
    }
    let role = AuthUserGrantRoleRequest { user: name.to_owned(), role: name.to_owned() };
    auth.user_grant_role(with(root, role)).await.expect("a role");
    token_of(auth, name).await
}

/// The cheapest hashes: these tests are not about how long guessing takes.
pub fn cheap(options: &mut Options) {
    options.auth.bcrypt_cost = 4;
}

/// The cluster that tests share which leave authentication on, and root's token. They keep to users and keys of their own.
pub struct Guarded {
    pub cluster: Cluster,
    pub root: String,
}

impl Guarded {
    pub async fn start() -> Self {
        let cluster = Cluster::start_with(false, cheap);
        let root = enable(&mut auth(&cluster, 0).await).await;
        Self { cluster, root }
    }

    pub async fn shared() -> Arc<Self> {
        static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        static SHARED: Mutex<Weak<Guarded>> = Mutex::new(Weak::new());
        let _starting = STARTING.lock().await;
        let running = SHARED.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(running) = running {
            return running;
        }
        let started = Arc::new(Self::start().await);
        *SHARED.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&started);
        started
    }
}
