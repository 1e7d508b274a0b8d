//! All other kinds.

use serde_json::{Value, json};

use super::super::refused;

fn service(change: Value) -> Value {
    let mut spec = json!({"ports": [{"port": 80}]});
    if let (Some(fields), Value::Object(change)) = (spec.as_object_mut(), change) {
        fields.extend(change);
    }
    json!({"spec": spec})
}

fn job(field: &str, value: &str) -> Value {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}});
    json!({"spec": {"template": template, field: value}})
}

fn cron_job(zone: &str) -> Value {
    let job = job("completionMode", "NonIndexed");
    json!({"spec": {"schedule": "* * * * *", "timeZone": zone, "jobTemplate": {"spec": job["spec"]}}})
}

fn claim(change: Value) -> Value {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    if let (Some(fields), Value::Object(change)) = (spec.as_object_mut(), change) {
        fields.extend(change);
    }
    json!({"spec": spec})
}

fn volume(change: Value) -> Value {
    let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]});
    if let (Some(fields), Value::Object(change)) = (spec.as_object_mut(), change) {
        fields.extend(change);
    }
    json!({"spec": spec})
}

fn slice(device: Value) -> Value {
    json!({"spec": {"allNodes": true, "driver": "d.x", "devices": [device],
        "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}})
}

fn devices(change: Value) -> Value {
    let mut devices = json!({"requests": [
        {"name": "r", "exactly": {"deviceClassName": "x"}},
        {"name": "s", "firstAvailable": [{"name": "t", "deviceClassName": "x"}]}]});
    if let (Some(fields), Value::Object(change)) = (devices.as_object_mut(), change) {
        fields.extend(change);
    }
    json!({"spec": {"devices": devices}})
}

fn secret(kind: &str, data: Value) -> Value {
    json!({"type": kind, "data": data})
}

#[test]
fn an_object_with_a_mistake_is_refused_where_kubernetes_refuses_it() {
    let (i, r, f, n) = ("FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden", "FieldValueNotSupported");
    let d = "FieldValueDuplicate";
    let device = "spec.devices[0]";
    let quota = |scopes: Value| json!({"spec": {"hard": {"services": "1"}, "scopes": scopes}});
    let resources = "resource.k8s.io";
    let mut wrong: Vec<String> = Vec::new();
    for (group, plural, object, cause, path) in [
        (
            "",
            "services",
            service(
                json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}),
            ),
            i,
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        ),
        ("", "services", service(json!({"externalTrafficPolicy": "Local"})), i, "spec.externalTrafficPolicy"),
        ("", "services", service(json!({"loadBalancerClass": "a/b"})), f, "spec.loadBalancerClass"),
        (
            "",
            "services",
            service(json!({"allocateLoadBalancerNodePorts": true})),
            f,
            "spec.allocateLoadBalancerNodePorts",
        ),
        ("", "services", service(json!({"healthCheckNodePort": 30000})), i, "spec.healthCheckNodePort"),
        (
            "",
            "services",
            service(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["x"]})),
            i,
            "spec.LoadBalancerSourceRanges[0]",
        ),
        (
            "",
            "services",
            service(json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]})),
            f,
            "spec.LoadBalancerSourceRanges",
        ),
        ("", "services", service(json!({"ipFamilies": ["IPv4", "IPv4"]})), d, "spec.ipFamilies[1]"),
        ("", "services", service(json!({"ipFamilies": ["IPv5"]})), n, "spec.ipFamilies[0]"),
        ("", "services", service(json!({"ipFamilyPolicy": "Foo"})), n, "spec.ipFamilyPolicy"),
        (
            "",
            "services",
            service(json!({"externalIPs": ["127.0.0.1"], "externalTrafficPolicy": "Local"})),
            i,
            "spec.externalIPs[0]",
        ),
        ("", "services", service(json!({"trafficDistribution": "Foo"})), n, "spec.trafficDistribution"),
        (
            "",
            "services",
            service(json!({"ports": [{"port": 80, "appProtocol": "a b"}]})),
            i,
            "spec.ports[0].appProtocol",
        ),
        ("batch", "jobs", job("managedBy", "foo"), i, "spec.managedBy"),
        ("batch", "cronjobs", cron_job("Foo/Bar"), i, "spec.timeZone"),
        (
            "",
            "secrets",
            secret("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "eA=="})),
            i,
            "data[.dockerconfigjson]",
        ),
        ("", "resourcequotas", quota(json!(["BestEffort"])), i, "spec.scopes"),
        ("", "resourcequotas", quota(json!(["Foo"])), i, "spec.scopes"),
        (
            "",
            "resourcequotas",
            json!({"spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
                {"scopeName": "Terminating", "operator": "In", "values": ["a"]}]}}}),
            i,
            "spec.scopeSelector.matchExpressions.operator",
        ),
        ("", "resourcequotas", json!({"spec": {"hard": {"pods": "1.5"}}}), i, "spec.hard[pods]"),
        (
            "",
            "persistentvolumes",
            volume(json!({"csi": {"driver": "a.b", "volumeHandle": "c", "nodeStageSecretRef": {"name": "s"}}})),
            r,
            "spec.csi.nodeStageSecretRef.namespace",
        ),
        ("", "persistentvolumes", volume(json!({"hostPath": {"path": "/a/.."}})), i, "spec.hostPath.path"),
        (
            "",
            "persistentvolumes",
            volume(json!({"hostPath": {"path": "/a"}, "nodeAffinity": {"required": {"nodeSelectorTerms": []}}})),
            r,
            "spec.nodeAffinity.required.nodeSelectorTerms",
        ),
        ("networking.k8s.io", "servicecidrs", json!({"spec": {"cidrs": ["10.0.0.1/16"]}}), i, "spec.cidrs[0]"),
        (
            "networking.k8s.io",
            "servicecidrs",
            json!({"spec": {"cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}}),
            i,
            "spec.cidrs",
        ),
        (
            resources,
            "resourceslices",
            slice(json!({"name": "a", "attributes": {"m": {"string": "a", "int": 1}}})),
            i,
            &*format!("{device}.attributes[m]"),
        ),
        (
            resources,
            "resourceslices",
            slice(json!({"name": "a", "attributes": {"m": {"version": "1.x"}}})),
            i,
            &*format!("{device}.attributes[m].version"),
        ),
        (
            resources,
            "resourceslices",
            slice(json!({"name": "a", "attributes": {"a b": {"int": 1}}})),
            i,
            &*format!("{device}.attributes[a b]"),
        ),
        (
            resources,
            "resourceslices",
            slice(json!({"name": "a", "taints": [{"key": "a", "effect": "Foo"}]})),
            n,
            &*format!("{device}.taints[0].effect"),
        ),
        (resources, "resourceslices", slice(json!({"name": "a", "nodeName": "n"})), i, device),
        (
            resources,
            "resourceclaims",
            devices(json!({"constraints": [{"requests": ["nope"], "matchAttribute": "a.b/c"}]})),
            i,
            "spec.devices.constraints[0].requests[0]",
        ),
        (
            resources,
            "resourceclaims",
            devices(json!({"constraints": [{"matchAttribute": "c"}]})),
            i,
            "spec.devices.constraints[0].matchAttribute",
        ),
        (
            resources,
            "resourceclaims",
            devices(json!({"config": [{"requests": ["s/u"], "opaque": {"driver": "a.b", "parameters": {}}}]})),
            i,
            "spec.devices.config[0].requests[0]",
        ),
        (resources, "resourceclaims", devices(json!({"config": [{}]})), r, "spec.devices.config[0].opaque"),
        (
            resources,
            "resourceclaims",
            devices(json!({"requests": [{"name": "r", "exactly": {"deviceClassName": "A_"}}]})),
            i,
            "spec.devices.requests[0].exactly.deviceClassName",
        ),
        (
            resources,
            "resourceclaimtemplates",
            json!({"spec": devices(json!({"config": [{}]}))}),
            r,
            "spec.spec.devices.config[0].opaque",
        ),
        (resources, "deviceclasses", json!({"spec": {"extendedResourceName": "foo"}}), i, "spec.extendedResourceName"),
    ] {
        let (found, told) = (refused(group, plural, object.clone()), format!("{cause} {path}"));
        if found != [told.as_str()] {
            wrong.push(format!("{object}: {found:?} instead of {told}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let several = refused("", "persistentvolumeclaims", claim(json!({"dataSource": {"kind": "", "name": ""}})));
    for told in ["FieldValueRequired spec.dataSource.name", "FieldValueRequired spec.dataSource.kind"] {
        assert!(several.iter().any(|found| found == told), "{several:?}");
    }
    let unknown = refused("", "persistentvolumeclaims", claim(json!({"dataSource": {"kind": "A", "name": "b"}})));
    assert_eq!(
        unknown,
        ["spec.dataSource", "spec.dataSourceRef"].map(|field| format!("{i} {field}")),
        "they say the same"
    );
    let pool = json!({"name": "P_", "generation": -1, "resourceSliceCount": 1});
    let object = json!({"spec": {"allNodes": true, "driver": "D_X", "pool": pool}});
    let fields = ["spec.driver", "spec.pool.name", "spec.pool.generation"];
    assert_eq!(refused(resources, "resourceslices", object), fields.map(|field| format!("{i} {field}")));
}

#[test]
fn what_kubernetes_lets_in_is_let_in() {
    let resources = "resource.k8s.io";
    for (group, plural, object) in [
        (
            "",
            "services",
            service(
                json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86_400}}}),
            ),
        ),
        ("", "services", service(json!({"type": "NodePort", "externalTrafficPolicy": "Local"}))),
        ("", "services", service(json!({"externalIPs": ["1.2.3.4"], "externalTrafficPolicy": "Local"}))),
        (
            "",
            "services",
            service(
                json!({"type": "LoadBalancer", "loadBalancerClass": "a/b", "loadBalancerSourceRanges": [" 10.0.0.0/8 "]}),
            ),
        ),
        ("", "services", service(json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}))),
        ("", "services", service(json!({"trafficDistribution": "PreferClose"}))),
        ("batch", "jobs", job("managedBy", "acme.io/foo")),
        ("batch", "cronjobs", cron_job("Europe/Zurich")),
        ("batch", "cronjobs", cron_job("UTC")),
        ("", "secrets", secret("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "e30="}))),
        ("", "resourcequotas", json!({"spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}})),
        (
            "",
            "resourcequotas",
            json!({"spec": {"hard": {"requests.nvidia.com/gpu": "4", "cpu": "1500m"}, "scopes": ["NotTerminating"]}}),
        ),
        ("", "persistentvolumeclaims", claim(json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "b"}}))),
        (
            "",
            "persistentvolumeclaims",
            claim(json!({"dataSourceRef": {"apiGroup": "a.b", "kind": "C", "name": "d", "namespace": "e"}})),
        ),
        ("networking.k8s.io", "servicecidrs", json!({"spec": {"cidrs": ["10.0.0.0/16", "fd00::/64"]}})),
        (
            resources,
            "resourceslices",
            slice(json!({"name": "a", "attributes": {"d.x/m": {"version": "1.2.3-rc.1+b"}, "n": {"bool": false}},
                "capacity": {"memory": {"value": "1Gi"}}, "taints": [{"key": "a", "effect": "NoExecute"}]})),
        ),
        (
            resources,
            "resourceclaims",
            devices(json!({
                "constraints": [{"requests": ["r", "s/t"], "matchAttribute": "a.b/c"}],
                "config": [{"requests": ["s"], "opaque": {"driver": "a.b", "parameters": {"kind": "X"}}}]})),
        ),
        (resources, "deviceclasses", json!({"spec": {"extendedResourceName": "example.com/gpu"}})),
    ] {
        assert_eq!(refused(group, plural, object.clone()), Vec::<String>::new(), "{object}");
    }
}
