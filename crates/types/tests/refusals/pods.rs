//! Pods, and templates of them.

use serde_json::{Value, json};

use super::super::refused;

fn merged(mut base: Value, change: Value) -> Value {
    if let (Some(fields), Value::Object(change)) = (base.as_object_mut(), change) {
        fields.extend(change);
    }
    base
}

fn pod(change: Value) -> Value {
    merged(json!({"containers": [{"name": "c", "image": "x"}]}), change)
}

fn container(change: Value) -> Value {
    pod(json!({"containers": [merged(json!({"name": "c", "image": "x"}), change)]}))
}

fn volume(source: Value) -> Value {
    pod(json!({"volumes": [merged(json!({"name": "v"}), source)]}))
}

fn context(context: Value) -> Value {
    container(json!({"securityContext": context}))
}

fn of_pod(context: Value) -> Value {
    pod(json!({"securityContext": context}))
}

const C: &str = "spec.containers[0]";
const V: &str = "spec.volumes[0]";

/// Each with one mistake, and what is told of it.
fn mistakes() -> Vec<(Value, String)> {
    let (i, r, f, n) = ("FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden", "FieldValueNotSupported");
    let at = |cause: &str, path: &str| format!("{cause} {path}");
    let of_c = |cause: &str, path: &str| format!("{cause} {C}.{path}");
    let of_v = |cause: &str, path: &str| format!("{cause} {V}.{path}");
    let spread = json!({"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"});
    let claims = json!([{"name": "a", "resourceClaimName": "x"}]);
    vec![
        // Volumes.
        (volume(json!({"hostPath": {"path": "/a/../b"}})), of_v(i, "hostPath.path")),
        (volume(json!({"hostPath": {"path": "/a", "type": "Foo"}})), of_v(n, "hostPath.type")),
        (volume(json!({"configMap": {"name": "a", "defaultMode": 4096}})), of_v(i, "configMap.defaultMode")),
        (
            volume(json!({"secret": {"secretName": "a", "items": [{"key": "a", "path": "../b"}]}})),
            of_v(i, "secret.items[0].path"),
        ),
        (
            volume(json!({"secret": {"secretName": "a", "items": [{"key": "a", "path": "..b"}]}})),
            of_v(i, "secret.items[0].path"),
        ),
        (volume(json!({"nfs": {"server": "", "path": "/a"}})), of_v(r, "nfs.server")),
        (volume(json!({"nfs": {"server": "a", "path": "a"}})), of_v(i, "nfs.path")),
        (volume(json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.x", "lun": 1}})), of_v(i, "iscsi.iqn")),
        (
            volume(json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.2001-04.com.example:a", "lun": 256}})),
            of_v(i, "iscsi.lun"),
        ),
        (volume(json!({"gcePersistentDisk": {"pdName": "a", "partition": 300}})), of_v(i, "persistentDisk.partition")),
        (volume(json!({"fc": {"targetWWNs": ["a"]}})), of_v(r, "fc.lun")),
        (volume(json!({"flocker": {}})), of_v(r, "flocker")),
        (volume(json!({"rbd": {"monitors": [], "image": "a"}})), of_v(r, "rbd.monitors")),
        (volume(json!({"gitRepo": {"repository": "a", "directory": "/b"}})), of_v(i, "gitRepo.directory")),
        (
            volume(json!({"flexVolume": {"driver": "a/b", "options": {"x.k8s.io/a": "b"}}})),
            of_v(i, "flexVolume.options[x.k8s.io/a]"),
        ),
        (volume(json!({"csi": {"driver": "A_"}})), of_v(i, "csi.driver")),
        (volume(json!({"ephemeral": {}})), of_v(r, "ephemeral.volumeClaimTemplate")),
        (
            volume(json!({"ephemeral": {"volumeClaimTemplate": {"spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {}}}}})),
            of_v(r, "ephemeral.volumeClaimTemplate.spec.resources.requests[storage]"),
        ),
        (
            volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]}})),
            of_v(i, "projected.sources[0].serviceAccountToken.expirationSeconds"),
        ),
        (
            volume(json!({"projected": {"sources": [
                {"configMap": {"name": "a", "items": [{"key": "a", "path": "p"}]}},
                {"secret": {"name": "a", "items": [{"key": "a", "path": "p"}]}}]}})),
            of_v(i, "projected"),
        ),
        (
            volume(json!({"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "status.podIP"}}]}})),
            of_v(n, "downwardAPI.fieldRef.fieldPath"),
        ),
        (volume(json!({"downwardAPI": {"items": [{"path": "a"}]}})), of_v(r, "downwardAPI")),
        // Mounts.
        (
            merged(
                container(
                    json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]}),
                ),
                json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            ),
            of_c(f, "volumeMounts.mountPropagation"),
        ),
        (
            merged(
                container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}]})),
                json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            ),
            of_c(f, "volumeMounts.recursiveReadOnly"),
        ),
        (
            merged(
                container(json!({"volumeDevices": [{"name": "v", "devicePath": "/v"}]})),
                json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            ),
            of_c(i, "volumeDevices[0].name"),
        ),
        // Resources.
        (container(json!({"resources": {"requests": {"nvidia.com/gpu": "1"}}})), of_c(r, "resources.limits")),
        (
            container(json!({"resources": {"limits": {"nvidia.com/gpu": "1.5"}}})),
            of_c(i, "resources.limits[nvidia.com/gpu]"),
        ),
        (
            container(json!({"resources": {"limits": {"a.b/c": "2"}, "requests": {"a.b/c": "1"}}})),
            of_c(i, "resources.requests"),
        ),
        (container(json!({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}})), of_c(f, "resources")),
        (
            container(json!({"resources": {"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}})),
            of_c(i, "resources.limits[hugepages-2Mi]"),
        ),
        (container(json!({"resources": {"limits": {"storage": "1"}}})), of_c(i, "resources.limits[storage]")),
        (
            container(json!({"resources": {"claims": [{"name": "nope"}]}})),
            "FieldValueNotFound spec.containers[0].resources.claims[0]".into(),
        ),
        (
            merged(
                container(json!({"resources": {"claims": [{"name": "a"}, {"name": "a"}]}})),
                json!({"resourceClaims": claims}),
            ),
            "FieldValueDuplicate spec.containers[0].resources.claims[1]".into(),
        ),
        (pod(json!({"resources": {"requests": {"foo": "1"}}})), at(i, "spec.resources.requests[foo]")),
        (
            pod(json!({"resources": {"requests": {"ephemeral-storage": "1"}}})),
            at(n, "spec.resources.requests[ephemeral-storage]"),
        ),
        (
            merged(
                container(json!({"resources": {"requests": {"cpu": "2"}}})),
                json!({"resources": {"requests": {"cpu": "1"}}}),
            ),
            at(i, "spec.resources.requests[cpu]"),
        ),
        (
            pod(json!({"resourceClaims": [{"name": "a", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}]})),
            at(i, "spec.resourceClaims[0]"),
        ),
        (pod(json!({"resourceClaims": [{"name": "a"}]})), at(i, "spec.resourceClaims[0]")),
        (pod(json!({"overhead": {"foo": "1"}})), at(i, "spec.overhead.limits[foo]")),
        // Environment.
        (
            container(json!({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}}]})),
            of_c(i, "env[0].valueFrom.fieldRef.fieldPath"),
        ),
        (
            container(json!({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]})),
            of_c(n, "env[0].valueFrom.fieldRef.fieldPath"),
        ),
        (
            container(
                json!({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a b']"}}}]}),
            ),
            of_c(i, "env[0].valueFrom.fieldRef"),
        ),
        (
            container(json!({"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.foo"}}}]})),
            of_c(n, "env[0].valueFrom.resourceFieldRef.resource"),
        ),
        (
            container(json!({"env": [{"name": "a", "valueFrom": {
                "resourceFieldRef": {"resource": "limits.cpu", "divisor": "1Mi"}}}]})),
            of_c(i, "env[0].valueFrom.resourceFieldRef.divisor"),
        ),
        (container(json!({"envFrom": [{"configMapRef": {"name": "A_"}}]})), of_c(i, "envFrom[0].configMapRef.name")),
        // Probes and hooks.
        (
            container(
                json!({"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": "c"}]}}}),
            ),
            of_c(i, "livenessProbe.httpGet.httpHeaders"),
        ),
        (
            container(json!({"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 1}})),
            of_c(i, "readinessProbe.terminationGracePeriodSeconds"),
        ),
        (container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})), of_c(i, "lifecycle.preStop.sleep")),
        (
            pod(
                json!({"initContainers": [{"name": "i", "image": "x", "lifecycle": {"preStop": {"exec": {"command": ["a"]}}}}]}),
            ),
            at(f, "spec.initContainers[0].lifecycle"),
        ),
        (
            pod(json!({"initContainers": [{"name": "i", "image": "x", "restartPolicy": "Sometimes"}]})),
            at(n, "spec.initContainers[0].restartPolicy"),
        ),
        (
            container(
                json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]}),
            ),
            of_c(r, "restartPolicy"),
        ),
        // Security.
        (context(json!({"runAsUser": -1})), of_c(i, "securityContext.runAsUser")),
        (context(json!({"privileged": true, "allowPrivilegeEscalation": false})), of_c(i, "securityContext")),
        (
            context(json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}, "allowPrivilegeEscalation": false})),
            of_c(i, "securityContext"),
        ),
        (context(json!({"procMount": "Foo"})), of_c(n, "securityContext.procMount")),
        (context(json!({"procMount": "Unmasked"})), of_c(i, "securityContext.procMount")),
        (
            context(json!({"seccompProfile": {"type": "Localhost"}})),
            of_c(r, "securityContext.seccompProfile.localhostProfile"),
        ),
        (
            context(json!({"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}})),
            of_c(i, "securityContext.seccompProfile.localhostProfile"),
        ),
        (context(json!({"appArmorProfile": {"type": "Foo"}})), of_c(n, "securityContext.appArmorProfile.type")),
        (
            context(json!({"windowsOptions": {"runAsUserName": ""}})),
            of_c(i, "securityContext.windowsOptions.runAsUserName"),
        ),
        (context(json!({"windowsOptions": {"hostProcess": true}})), at(i, "spec.hostNetwork")),
        (of_pod(json!({"sysctls": [{"name": "a b", "value": "1"}]})), at(i, "spec.securityContext.sysctls[0].name")),
        (of_pod(json!({"fsGroup": -1})), at(i, "spec.securityContext.fsGroup")),
        (of_pod(json!({"supplementalGroups": [-1]})), at(i, "spec.securityContext.supplementalGroups[0]")),
        (of_pod(json!({"fsGroupChangePolicy": "Foo"})), at(n, "spec.securityContext.fsGroupChangePolicy")),
        (
            merged(
                of_pod(json!({"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]})),
                json!({"hostNetwork": true}),
            ),
            at(i, "spec.securityContext.sysctls[0].name"),
        ),
        (
            pod(json!({"hostPID": true, "shareProcessNamespace": true})),
            at(i, "spec.securityContext.shareProcessNamespace"),
        ),
        // The host, and its names.
        (
            merged(container(json!({"ports": [{"containerPort": 1, "hostPort": 2}]})), json!({"hostNetwork": true})),
            of_c(i, "ports[0].hostPort"),
        ),
        (pod(json!({"hostUsers": false, "hostNetwork": true})), at(f, "spec.hostNetwork")),
        (pod(json!({"hostUsers": false, "hostPID": true})), at(f, "spec.HostPID")),
        (pod(json!({"os": {"name": "foo"}})), at(n, "spec.os")),
        (
            merged(of_pod(json!({"seLinuxOptions": {"user": "a"}})), json!({"os": {"name": "windows"}})),
            at(f, "spec.securityContext.seLinuxOptions"),
        ),
        (
            merged(context(json!({"windowsOptions": {"runAsUserName": "a"}})), json!({"os": {"name": "linux"}})),
            of_c(f, "securityContext.windowsOptions"),
        ),
        (pod(json!({"dnsConfig": {"nameservers": ["x"]}})), at(i, "spec.dnsConfig.nameservers[0]")),
        (pod(json!({"dnsConfig": {"searches": ["a b"]}})), at(i, "spec.dnsConfig.searches[0]")),
        (pod(json!({"dnsConfig": {"options": [{"value": "1"}]}})), at(r, "spec.dnsConfig.options[0]")),
        // Scheduling.
        (
            pod(json!({"topologySpreadConstraints": [spread, spread]})),
            at("FieldValueDuplicate", "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}"),
        ),
        (
            pod(json!({"topologySpreadConstraints": [merged(spread.clone(), json!({"minDomains": 0}))]})),
            at(i, "spec.topologySpreadConstraints[0].minDomains"),
        ),
        (
            pod(json!({"topologySpreadConstraints": [merged(spread.clone(), json!({"matchLabelKeys": ["a"]}))]})),
            at(f, "spec.topologySpreadConstraints[0].matchLabelKeys"),
        ),
        (pod(json!({"readinessGates": [{"conditionType": "a b"}]})), at(i, "spec.readinessGates[0].conditionType")),
        (pod(json!({"schedulingGates": [{"name": "a/b"}], "nodeName": "n"})), at(f, "spec.nodeName")),
        (
            pod(json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}}})),
            at(
                i,
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key",
            ),
        ),
        (
            pod(json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "a", "matchLabelKeys": ["b"]}]}}})),
            at(f, "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys"),
        ),
        (pod(json!({"preemptionPolicy": "Foo"})), at(n, "spec.preemptionPolicy")),
    ]
}

#[test]
fn a_pod_with_a_mistake_is_refused_where_kubernetes_refuses_it() {
    let wrong = mistakes().into_iter().filter_map(|(spec, told)| {
        let found = refused("", "pods", json!({"spec": spec}));
        // What is limited is requested too, so that one mistake may be told twice.
        (!found.contains(&told)).then(|| format!("{spec}: {found:?} instead of {told}"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn templates_are_held_to_what_pods_are() {
    let spec = context(json!({"runAsUser": -1}));
    let labels = json!({"a": "b"});
    let (selector, template) = (json!({"matchLabels": labels}), json!({"metadata": {"labels": labels}, "spec": spec}));
    let ends = merged(spec.clone(), json!({"restartPolicy": "Never"}));
    let path = "spec.containers[0].securityContext.runAsUser";
    for (group, plural, object, before) in [
        ("apps", "deployments", json!({"spec": {"selector": selector, "template": template}}), "spec.template."),
        ("apps", "replicasets", json!({"spec": {"selector": selector, "template": template}}), "spec.template."),
        ("apps", "daemonsets", json!({"spec": {"selector": selector, "template": template}}), "spec.template."),
        ("apps", "statefulsets", json!({"spec": {"selector": selector, "template": template}}), "spec.template."),
        ("", "replicationcontrollers", json!({"spec": {"selector": labels, "template": template}}), "spec.template."),
        ("", "podtemplates", json!({"template": template}), "template."),
        ("batch", "jobs", json!({"spec": {"template": {"spec": ends}}}), "spec.template."),
        (
            "batch",
            "cronjobs",
            json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": ends}}}}}),
            "spec.jobTemplate.spec.template.",
        ),
    ] {
        assert_eq!(refused(group, plural, object), [format!("FieldValueInvalid {before}{path}")], "{plural}");
    }
}

#[test]
fn what_kubernetes_lets_in_is_let_in() {
    let mounted = |source: Value, mount: Value| {
        merged(
            container(json!({"volumeMounts": [merged(json!({"name": "v", "mountPath": "/v"}), mount)]})),
            json!({"volumes": [merged(json!({"name": "v"}), source)]}),
        )
    };
    for spec in [
        volume(json!({"hostPath": {"path": "/a/b", "type": "DirectoryOrCreate"}})),
        volume(
            json!({"configMap": {"name": "a", "defaultMode": 0o777, "items": [{"key": "a", "path": "b/c", "mode": 0}]}}),
        ),
        volume(json!({"nfs": {"server": "a", "path": "/a"}})),
        volume(json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.2001-04.com.example:storage.disk2", "lun": 0}})),
        volume(json!({"csi": {"driver": "CSI.example.com", "nodePublishSecretRef": {"name": "a"}}})),
        volume(json!({"image": {"reference": "x:1", "pullPolicy": "Always"}})),
        volume(json!({"ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}})),
        volume(json!({"projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}})),
        volume(json!({"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}}]}})),
        mounted(
            json!({"emptyDir": {}}),
            json!({"subPathExpr": "$(POD)", "readOnly": true, "recursiveReadOnly": "Enabled"}),
        ),
        merged(
            container(json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]})),
            json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}]}),
        ),
        container(json!({"resources": {"limits": {"nvidia.com/gpu": "1", "hugepages-2Mi": "4Mi", "memory": "1Gi"}}})),
        pod(json!({"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}})),
        merged(
            container(json!({"resources": {"claims": [{"name": "a", "request": "r"}, {"name": "a", "request": "s"}]}})),
            json!({"resourceClaims": [{"name": "a", "resourceClaimTemplateName": "x"}]}),
        ),
        container(json!({"env": [
            {"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['example.com/A']"}}},
            {"name": "b", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}},
            {"name": "c", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}}]})),
        container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 30}}}})),
        container(json!({"restartPolicy": "Never", "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]})),
        pod(json!({"initContainers": [{"name": "i", "image": "x", "restartPolicy": "Always",
            "lifecycle": {"preStop": {"exec": {"command": ["a"]}}}}]})),
        context(json!({"runAsUser": 0, "privileged": false, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "seccompProfile": {"type": "RuntimeDefault"},
            "appArmorProfile": {"type": "Localhost", "localhostProfile": "k8s-example"}})),
        of_pod(json!({"fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch", "sysctls": [
            {"name": "kernel.shm_rmid_forced", "value": "0"}, {"name": "net/ipv4/ip_local_port_range", "value": "1 2"}]})),
        merged(context(json!({"procMount": "Unmasked"})), json!({"hostUsers": false})),
        merged(container(json!({"ports": [{"containerPort": 80}]})), json!({"hostNetwork": true})),
        pod(json!({"os": {"name": "linux"}, "securityContext": {"seLinuxOptions": {"user": "a"}}})),
        pod(json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.1", "fd00::1"],
            "searches": ["_tcp.example.com.", "."], "options": [{"name": "ndots", "value": "2"}]}})),
        pod(json!({"topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2},
            {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {},
                "matchLabelKeys": ["pod-template-hash"], "nodeTaintsPolicy": "Honor"}]})),
        pod(json!({"readinessGates": [{"conditionType": "example.com/ready"}], "schedulingGates": [{"name": "a/b"}]})),
        pod(json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}}}})),
    ] {
        assert_eq!(refused("", "pods", json!({"spec": spec})), Vec::<String>::new(), "{spec}");
    }
}
