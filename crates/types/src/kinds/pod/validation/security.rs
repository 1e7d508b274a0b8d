//! What a pod and its containers may do to the node: users, capabilities, profiles, kernel parameters.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::names;

const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_BYTES_MAX: usize = 253;
const APPARMOR_BYTES_MAX: usize = 4095;
const GMSA_BYTES_MAX: usize = 64 * 1024;
const WINDOWS_USER_CHARACTERS_MAX: usize = 104;
const WINDOWS_DOMAIN_CHARACTERS_MAX: usize = 255;
/// Kernel parameters that each network, or each space for messages between processes, has of its own.
const NETWORK_SYSCTLS: [&str; 1] = ["net."];
const MESSAGE_SYSCTLS: [&str; 4] = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];

/// The security context of a pod.
pub(super) fn of_pod(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let context = &spec["securityContext"];
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        check::between(&context[field], 0, ID_MAX, &path.child(field), errors);
    }
    let groups = path.child("supplementalGroups");
    for (index, group) in items(&context["supplementalGroups"]) {
        check::between(group, 0, ID_MAX, &groups.index(index), errors);
    }
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    sysctls(spec, &path.child("sysctls"), errors);
    for (field, words) in [
        ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ] {
        check::one_of(&context[field], &words, &path.child(field), errors);
    }
    profiles(context, path, errors);
}

/// The security context of a container.
pub(super) fn of_container(context: &Value, host_users: bool, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !context.is_object() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        check::between(&context[field], 0, ID_MAX, &path.child(field), errors);
    }
    check::one_of(&context["procMount"], &["Default", "Unmasked"], &path.child("procMount"), errors);
    if host_users && context["procMount"] == "Unmasked" {
        let why = "`hostUsers` must be false to use `Unmasked`";
        errors.push(Error::invalid(&path.child("procMount"), "Unmasked", why));
    }
    if context["allowPrivilegeEscalation"] == false {
        if context["privileged"] == true {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(Error::invalid(path, context.clone(), why));
        }
        if items(&context["capabilities"]["add"]).any(|(_, capability)| capability == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(Error::invalid(path, context.clone(), why));
        }
    }
    profiles(context, path, errors);
}

/// What pods and containers say alike.
fn profiles(context: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if context["seccompProfile"].is_object() {
        let (profile, path) = (&context["seccompProfile"], path.child("seccompProfile"));
        profile_type(profile, "seccomp", &path, errors);
        if profile["type"] == "Localhost" && profile["localhostProfile"].is_string() {
            let local = path.child("localhostProfile");
            check::relative_path(text(&profile["localhostProfile"]), &local, errors);
        }
    }
    if context["appArmorProfile"].is_object() {
        let (profile, path) = (&context["appArmorProfile"], path.child("appArmorProfile"));
        profile_type(profile, "AppArmor", &path, errors);
        let (name, local) = (text(&profile["localhostProfile"]), path.child("localhostProfile"));
        if profile["type"] == "Localhost" && profile["localhostProfile"].is_string() {
            if name != name.trim() {
                errors.push(Error::invalid(&local, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(Error::required(&local, "must be set when AppArmor type is Localhost"));
            }
            if name.len() > APPARMOR_BYTES_MAX {
                errors.push(Error::too_long(&local, APPARMOR_BYTES_MAX));
            }
        }
    }
    windows(&context["windowsOptions"], &path.child("windowsOptions"), errors);
}

/// A profile of the node's has a name, and no other one has.
fn profile_type(profile: &Value, what: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (kind, local) = (path.child("type"), path.child("localhostProfile"));
    if check::required(&profile["type"], &kind, errors) {
        check::one_of(&profile["type"], &["Localhost", "RuntimeDefault", "Unconfined"], &kind, errors);
    }
    match (profile["type"] == "Localhost", profile["localhostProfile"].is_null()) {
        (true, true) => errors.push(Error::required(&local, format!("must be set when {what} type is Localhost"))),
        (false, false) => {
            let why = format!("can only be set when {what} type is Localhost");
            errors.push(Error::invalid(&local, profile["localhostProfile"].clone(), why));
        }
        _ => {}
    }
}

fn windows(options: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        check::name(name, names::dns1123_subdomain, &path.child("gmsaCredentialSpecName"), errors);
    }
    if let Some(specification) = options["gmsaCredentialSpec"].as_str() {
        let path = path.child("gmsaCredentialSpec");
        if specification.is_empty() {
            errors.push(Error::invalid(&path, "", "gmsaCredentialSpec cannot be an empty string"));
        } else if specification.len() > GMSA_BYTES_MAX {
            errors.push(Error::invalid(&path, specification, "gmsaCredentialSpec size must be under 64 KiB"));
        }
    }
    let Some(user) = options["runAsUserName"].as_str() else { return };
    let path = path.child("runAsUserName");
    let (domain, name) = user.split_once('\\').unwrap_or(("", user));
    let domain_given = user.contains('\\');
    let why = match () {
        () if user.is_empty() => "runAsUserName cannot be an empty string",
        () if user.chars().any(char::is_control) => "runAsUserName cannot contain control characters",
        () if name.contains('\\') => "runAsUserName cannot contain more than one backslash",
        () if domain_given && (domain.is_empty() || domain.chars().count() > WINDOWS_DOMAIN_CHARACTERS_MAX) => {
            "runAsUserName's domain must be between 1 and 255 characters long"
        }
        () if name.is_empty() || name.chars().count() > WINDOWS_USER_CHARACTERS_MAX => {
            "runAsUserName's user must be between 1 and 104 characters long"
        }
        () if name.contains(|c| "\"/\\:;|=,+*?<>@[]".contains(c)) => {
            "runAsUserName's user cannot contain any of \"/\\:;|=,+*?<>@[]"
        }
        () if name.chars().all(|c| c == '.' || c == ' ') => {
            "runAsUserName's user cannot be made of periods and spaces alone"
        }
        () => return,
    };
    errors.push(Error::invalid(&path, user, why));
}

fn sysctls(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen = HashSet::new();
    for (index, sysctl) in items(&spec["securityContext"]["sysctls"]) {
        let path = path.index(index);
        let (name, path) = (text(&sysctl["name"]), path.child("name"));
        if !check::required(&sysctl["name"], &path, errors) {
            continue;
        }
        if !is_sysctl(name) {
            let why =
                format!("must have at most {SYSCTL_BYTES_MAX} characters, in words with dots or slashes between them");
            errors.push(Error::invalid(&path, name, why));
        } else if !seen.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
        for (sharing, own) in [("hostNetwork", &NETWORK_SYSCTLS[..]), ("hostIPC", &MESSAGE_SYSCTLS[..])] {
            if spec[sharing] == true && own.iter().any(|prefix| name.replace('/', ".").starts_with(prefix)) {
                errors.push(Error::invalid(&path, name, format!("may not be specified when '{sharing}' is true")));
            }
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let word = |word: &str| {
        let bytes = word.as_bytes();
        bytes.first().is_some_and(|byte| plain(*byte))
            && bytes.last().is_some_and(|byte| plain(*byte))
            && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(word)
}
