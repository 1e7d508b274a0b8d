//! Acting as somebody else, by the headers that Kubernetes' clients send for it (`kubectl --as`).

use std::sync::Arc;

use http::HeaderMap;
use keelson_types::status::Status;

use super::Pipeline;
use super::request::User;
use crate::rbac::Action;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const ACCOUNT: &str = "system:serviceaccount:";
/// Groups that one request may name.
const NAMES_MAX: usize = 100;

impl Pipeline {
    /// The user that a request acts as: whoever sent it, unless its headers name somebody else.
    ///
    /// # Errors
    /// Forbidden when who sent it may not act as that; BadRequest for groups without a user.
    pub fn impersonated(&self, user: Arc<User>, headers: &HeaderMap) -> Result<Arc<User>, Status> {
        // A name that cannot be read must not leave the request with the rights of who sent it.
        let named = |name: &str| -> Result<Vec<&str>, Status> {
            let texts = headers.get_all(name).iter().map(|value| value.to_str());
            let texts = texts.collect::<Result<Vec<&str>, _>>();
            let texts = texts.map_err(|_| Status::bad_request(format!("the header {name} is not text")))?;
            if texts.len() > NAMES_MAX {
                return Err(Status::bad_request(format!("the header {name} is there more than {NAMES_MAX} times")));
            }
            Ok(texts)
        };
        let asked = named(GROUP)?;
        let mut groups: Vec<String> = asked.iter().copied().map(str::to_owned).collect();
        let extras: Vec<&str> = headers.keys().filter_map(|name| name.as_str().strip_prefix(EXTRA)).collect();
        let Some(name) = named(USER)?.first().copied().filter(|name| !name.is_empty()) else {
            if groups.is_empty() && extras.is_empty() && !headers.contains_key(UID) {
                return Ok(user);
            }
            return Err(Status::bad_request("requested impersonation of groups, a UID or extras without a user"));
        };
        let account = name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, account)) => {
                self.may_impersonate(&user, "", "serviceaccounts", account, namespace)?;
                if groups.is_empty() {
                    groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
                }
            }
            None => self.may_impersonate(&user, "", "users", name, "")?,
        }
        for group in asked {
            self.may_impersonate(&user, "", "groups", group, "")?;
        }
        const AUTHENTICATION: &str = "authentication.k8s.io";
        for uid in named(UID)? {
            self.may_impersonate(&user, AUTHENTICATION, "uids", uid, "")?;
        }
        for extra in extras {
            self.may_impersonate(&user, AUTHENTICATION, "userextras", extra, "")?;
        }
        Ok(Arc::new(User::known(name, groups)))
    }

    fn may_impersonate(
        &self,
        user: &User,
        group: &str,
        resource: &str,
        name: &str,
        namespace: &str,
    ) -> Result<(), Status> {
        let action = Action::Resource { verb: "impersonate", group, resource, subresource: "", name, namespace };
        self.check(user, &action)
    }
}
