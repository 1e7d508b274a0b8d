//! How a pod finds names: its policy, its servers, and names of its own.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::names;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_BYTES_MAX: usize = 2048;

pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    check::one_of(&spec["dnsPolicy"], &policies, &path.child("dnsPolicy"), errors);
    configuration(spec, &path.child("dnsConfig"), errors);
    let aliases = path.child("hostAliases");
    for (index, alias) in items(&spec["hostAliases"]) {
        let path = aliases.index(index);
        check::address(&alias["ip"], &path.child("ip"), errors);
        let hostnames = path.child("hostnames");
        for (index, hostname) in items(&alias["hostnames"]) {
            check::name(text(hostname), names::dns1123_subdomain, &hostnames.index(index), errors);
        }
    }
}

fn configuration(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let config = &spec["dnsConfig"];
    let (servers, searches) = (path.child("nameservers"), path.child("searches"));
    if text(&spec["dnsPolicy"]) == "None" {
        if !config.is_object() {
            errors.push(Error::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if items(&config["nameservers"]).next().is_none() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(Error::required(&servers, why));
            return;
        }
    }
    if items(&config["nameservers"]).count() > NAMESERVERS_MAX {
        let why = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(Error::invalid(&servers, config["nameservers"].clone(), why));
    }
    for (index, server) in items(&config["nameservers"]) {
        check::address(server, &servers.index(index), errors);
    }
    let listed: Vec<&str> = items(&config["searches"]).map(|(_, search)| text(search)).collect();
    if listed.len() > SEARCHES_MAX {
        let why = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(Error::invalid(&searches, config["searches"].clone(), why));
    }
    if listed.join(" ").len() > SEARCH_BYTES_MAX {
        let why =
            format!("must not have more than {SEARCH_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(Error::invalid(&searches, config["searches"].clone(), why));
    }
    for (index, search) in listed.iter().enumerate().filter(|(_, search)| **search != ".") {
        // Underscores are in names of services that are no host names.
        let plain = search.strip_suffix('.').unwrap_or(search);
        let complaints = names::dns1123_subdomain(&plain.replace('_', "a"));
        errors.extend(complaints.into_iter().map(|why| Error::invalid(&searches.index(index), plain, why)));
    }
    let options = path.child("options");
    for (index, option) in items(&config["options"]) {
        if text(&option["name"]).is_empty() {
            errors.push(Error::required(&options.index(index), "must not be empty"));
        }
    }
}
