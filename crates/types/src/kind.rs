//! What a kind is: everything about a resource that the rest of the system does not need to know by name.

use jiff::Timestamp;
use k8s_openapi::{ClusterResourceScope, ListableResource, NamespaceResourceScope, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::custom::Definition;
use crate::decode::{self, Decoded};
use crate::field;
use crate::merge;
use crate::meta;
use crate::schema::schema;
use crate::table::Column;

/// What becomes of an object that is sent.
#[derive(Clone, Copy)]
pub enum Served {
    /// It is stored, and can be read, watched and changed.
    Stored,
    /// It is a question: it can only be created, and the answer is in what comes back. Nothing is stored.
    Answered,
    /// It is observed when somebody asks: it can be read, and nobody writes it. Nothing is stored.
    Observed,
    /// It is another version of a stored kind.
    As(&'static View),
}

/// How a kind shows the objects that are stored as another.
pub struct View {
    /// The kind that is stored. It loses nothing that this one can say.
    pub stored: &'static Kind,
    pub from_stored: fn(Value) -> Value,
    pub to_stored: fn(Value) -> Value,
}

/// Which part of an object an update may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The object itself: everything but its status, for kinds that have a status subresource.
    Object,
    /// The status subresource: nothing but the status.
    Status,
    /// A pod's subresource of that name: containers for debugging, which are only ever added.
    EphemeralContainers,
    /// A pod's subresource of that name: what its containers request and are limited to.
    Resize,
}

/// A kind of object. [`crate::kinds`] has one file for each and [`crate::registry`] finds them.
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub list_kind: &'static str,
    /// The name in paths and messages, such as `pods`.
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    /// `all` where `kubectl get all` shows the kind.
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    /// Has a status subresource.
    pub status: bool,
    /// Has a scale subresource.
    pub scale: bool,
    /// Has an approval subresource, whose update changes the conditions of the status and nothing else.
    pub approval: bool,
    pub served: Served,
    /// The columns of a table; priority 0 is shown always, others with `-o wide`.
    pub columns: &'static [Column],
    /// What a field selector may name, with the text of an absent field. `metadata.name` and `metadata.namespace` always work.
    pub selectable_fields: &'static [(&'static str, &'static str)],
    pub(crate) merge_rules: &'static [merge::Rules],
    pub(crate) behaviour: Behaviour,
}

/// The functions of one kind. Each gets an object that has been decoded, so shapes may be relied on but presence may not.
pub(crate) struct Behaviour {
    pub decode: decode::Check,
    /// Fields, wherever they are, whose values are left as they were sent: emptiness means something there.
    pub verbatim: &'static [&'static str],
    /// What users say of a kind that is theirs; what follows is not asked then.
    pub definition: Option<&'static dyn Definition>,
    /// Whether `metadata.generation` counts changes of the spec.
    pub counts_generation: bool,
    /// Whether a replacement of what is not there makes it.
    pub created_by_update: bool,
    /// Whether a client may give the status of a new object.
    pub status_on_create: bool,
    pub default: fn(&mut Value),
    /// What a client may not choose when it creates the object. Status is dropped before.
    pub prepare_create: fn(&mut Value),
    /// Carries over from the old object what a client may not change.
    pub prepare_update: fn(&mut Value, &Value),
    /// The same for an update of the status.
    pub prepare_status: fn(&mut Value, &Value),
    /// Takes over from what was sent (the second) what a subresource of the kind's own covers.
    pub prepare_part: fn(&mut Value, &Value, Target),
    pub validate: fn(&Value, &mut Vec<field::Error>),
    /// What only a new object may not say.
    pub validate_create: fn(&Value, &mut Vec<field::Error>),
    /// What may not change, new before old.
    pub validate_update: fn(&Value, &Value, &mut Vec<field::Error>),
    /// The same by a subresource of the kind's own.
    pub validate_part: fn(&Value, &Value, Target, &mut Vec<field::Error>),
    pub validate_name: fn(&str) -> Vec<String>,
    /// What its writer had better not say, of a new object or of the successor of an old one.
    pub warn: fn(&Value, Option<&Value>, &mut Vec<String>),
    /// What everybody is told who uses the kind.
    pub deprecated: Option<&'static str>,
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
}

impl Behaviour {
    /// A kind without peculiarities: a subdomain as its name, nothing to default, only name and time to show.
    pub(crate) const fn of<T: serde::de::DeserializeOwned>() -> Self {
        Behaviour {
            decode: decode::check::<T>,
            verbatim: &[],
            definition: None,
            counts_generation: false,
            created_by_update: false,
            status_on_create: false,
            default: |_| {},
            prepare_create: |_| {},
            prepare_update: |_, _| {},
            prepare_status: |_, _| {},
            prepare_part: |_, _, _| {},
            validate: |_, _| {},
            validate_create: |_, _| {},
            validate_update: |_, _, _| {},
            validate_part: |_, _, _, _| {},
            validate_name: crate::names::dns1123_subdomain,
            warn: |_, _, _| {},
            deprecated: None,
            cells: |object, _| vec![crate::table::name(object), object["metadata"]["creationTimestamp"].clone()],
        }
    }
}

impl Kind {
    /// A kind of objects that live in namespaces, without peculiarities: names and fields are those of the type.
    pub(crate) const fn namespaced<T>(singular: &'static str) -> Kind
    where
        T: ListableResource + Resource<Scope = NamespaceResourceScope> + DeserializeOwned,
    {
        Kind { list_kind: T::LIST_KIND, ..Kind::of::<T>(singular, true) }
    }

    /// A kind of objects that live in no namespace.
    pub(crate) const fn cluster<T>(singular: &'static str) -> Kind
    where
        T: ListableResource + Resource<Scope = ClusterResourceScope> + DeserializeOwned,
    {
        Kind { list_kind: T::LIST_KIND, ..Kind::of::<T>(singular, false) }
    }

    /// A kind that is only asked; see [`Served::Answered`].
    pub(crate) const fn answered<T: Resource + DeserializeOwned>(singular: &'static str, namespaced: bool) -> Kind {
        Kind { served: Served::Answered, ..Kind::of::<T>(singular, namespaced) }
    }

    /// A kind that is measured when somebody asks; see [`Served::Observed`].
    pub(crate) const fn measured(kind: &'static str, list_kind: &'static str, plural: &'static str) -> Kind {
        Kind {
            group: "metrics.k8s.io",
            version: "v1beta1",
            kind,
            list_kind,
            plural,
            singular: "",
            short_names: &[],
            categories: &[],
            namespaced: false,
            status: false,
            scale: false,
            approval: false,
            served: Served::Observed,
            columns: &[],
            selectable_fields: &[],
            merge_rules: &[],
            // Nobody sends one, so that there is nothing to decode into.
            behaviour: Behaviour::of::<Value>(),
        }
    }

    const fn of<T: Resource + DeserializeOwned>(singular: &'static str, namespaced: bool) -> Kind {
        Kind {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            list_kind: "",
            plural: T::URL_PATH_SEGMENT,
            singular,
            short_names: &[],
            categories: &[],
            namespaced,
            status: false,
            scale: false,
            approval: false,
            served: Served::Stored,
            columns: &[Column::NAME, Column::CREATED_AT],
            selectable_fields: &[],
            merge_rules: &[],
            behaviour: Behaviour::of::<T>(),
        }
    }

    /// Whether objects of this very kind are in the store.
    pub fn is_stored(&self) -> bool {
        matches!(self.served, Served::Stored)
    }

    /// Whether objects can only be created, and nothing is kept of them.
    pub fn is_answered(&self) -> bool {
        matches!(self.served, Served::Answered)
    }

    /// Whether objects are observed when somebody asks, and can only be read.
    pub fn is_observed(&self) -> bool {
        matches!(self.served, Served::Observed)
    }

    /// The kind as which objects are stored: mostly this one.
    pub fn stored(&'static self) -> &'static Kind {
        match self.served {
            Served::As(view) => view.stored,
            Served::Stored | Served::Answered | Served::Observed => self,
        }
    }

    /// How objects of another kind are shown as this one; `None` for a kind that is stored itself.
    pub fn view(&self) -> Option<&'static View> {
        match self.served {
            Served::As(view) => Some(view),
            Served::Stored | Served::Answered | Served::Observed => None,
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` or `deployments.apps`.
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Reads JSON text strictly.
    ///
    /// # Errors
    /// Text that is not JSON, nests too deeply, or has a field of a wrong type; the error names its path.
    pub fn decode(&self, json: &[u8]) -> Result<Decoded, field::Error> {
        match self.behaviour.definition {
            Some(definition) => decode::custom_text(json, definition),
            None => decode::text(json, &self.shape()),
        }
    }

    /// The same for a value that is parsed already, such as the result of a patch.
    ///
    /// # Errors
    /// A field of a wrong type.
    pub fn decode_value(&self, value: Value) -> Result<Decoded, field::Error> {
        match self.behaviour.definition {
            Some(definition) => decode::custom(value, Vec::new(), definition),
            None => decode::value(value, Vec::new(), &self.shape()),
        }
    }

    fn shape(&self) -> decode::Shape {
        decode::Shape { message: self.message(), check: self.behaviour.decode, verbatim: self.behaviour.verbatim }
    }

    /// The kind's type in the table; `None` for a kind that users define.
    pub fn message(&self) -> Option<&'static crate::schema::Message> {
        if self.is_custom() { None } else { schema().kind(&self.api_version(), self.kind) }
    }

    /// Whether a CustomResourceDefinition defines the kind.
    pub fn is_custom(&self) -> bool {
        self.behaviour.definition.is_some()
    }

    /// Whether objects in the caches are in this version already; others are converted when they are read.
    pub fn is_shown_as_stored(&self) -> bool {
        match (self.served, self.behaviour.definition) {
            (_, Some(definition)) => definition.stored_api_version() == self.api_version(),
            (Served::As(_), None) => false,
            (Served::Stored | Served::Answered | Served::Observed, None) => true,
        }
    }

    /// What a CustomResourceDefinition says of the kind.
    pub fn definition(&self) -> Option<&'static dyn Definition> {
        self.behaviour.definition
    }

    /// Fills in what Kubernetes fills in. Idempotent.
    pub fn default(&self, object: &mut Value) {
        match self.behaviour.definition {
            Some(definition) => definition.default(object),
            None => (self.behaviour.default)(object),
        }
    }

    /// Makes a new object of what a client sent: an empty status, generation 1, and what the kind itself starts with.
    pub fn prepare_create(&self, object: &mut Value) {
        if self.status
            && !self.behaviour.status_on_create
            && let Some(fields) = object.as_object_mut()
        {
            if self.behaviour.definition.is_some() {
                // A schema may demand fields of a status that is there.
                fields.remove("status");
            } else {
                // Clients rely on it to be there from the first.
                fields.insert("status".to_owned(), Value::Object(serde_json::Map::new()));
            }
        }
        meta::set_generation(object, if self.behaviour.counts_generation { Some(1) } else { None });
        (self.behaviour.prepare_create)(object);
    }

    /// Makes `new` a successor of `old`: keeps what `target` does not cover and counts the generation.
    pub fn prepare_update(&self, new: &mut Value, old: &Value, target: Target) {
        match target {
            Target::Object => {
                if self.status {
                    meta::keep(new, old, "status");
                }
                (self.behaviour.prepare_update)(new, old);
                self.count_generation(new, old);
            }
            Target::EphemeralContainers | Target::Resize => {
                let sent = std::mem::replace(new, old.clone());
                if let Some(resource_version) = meta::resource_version(&sent) {
                    meta::set(new, "resourceVersion", resource_version);
                }
                (self.behaviour.prepare_part)(new, &sent, target);
                self.count_generation(new, old);
            }
            Target::Status => {
                let status = new.get_mut("status").map(Value::take);
                let resource_version = meta::resource_version(new).map(str::to_owned);
                *new = old.clone();
                match (status, new.as_object_mut()) {
                    (Some(status), Some(fields)) if !status.is_null() => {
                        fields.insert("status".to_owned(), status);
                    }
                    (_, Some(fields)) => {
                        fields.remove("status");
                    }
                    _ => {}
                }
                if let Some(resource_version) = resource_version {
                    meta::set(new, "resourceVersion", resource_version);
                }
                (self.behaviour.prepare_status)(new, old);
            }
        }
    }

    fn count_generation(&self, new: &mut Value, old: &Value) {
        let counted = self.behaviour.counts_generation.then(|| {
            // Where users have no status subresource, their status is a field as any other.
            let with_status = self.is_custom() && !self.status;
            meta::generation(old) + i64::from(meta::differs_outside_metadata(new, old, with_status))
        });
        meta::set_generation(new, counted);
    }

    /// Everything wrong with a new object, in the order of its fields.
    pub fn validate_create(&self, object: &Value) -> Vec<field::Error> {
        let mut errors = Vec::new();
        meta::validate(object, self.namespaced, self.behaviour.validate_name, &mut errors);
        match self.behaviour.definition {
            Some(definition) => definition.validate(object, None, &mut errors),
            None => {
                (self.behaviour.validate_create)(object, &mut errors);
                (self.behaviour.validate)(object, &mut errors);
            }
        }
        errors
    }

    /// Everything wrong with `new` as the successor of `old`.
    pub fn validate_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        self.validate_update_of(Target::Object, new, old)
    }

    /// The same of one that `target` made.
    pub fn validate_update_of(&self, target: Target, new: &Value, old: &Value) -> Vec<field::Error> {
        let mut errors = Vec::new();
        meta::validate(new, self.namespaced, self.behaviour.validate_name, &mut errors);
        meta::validate_update(new, old, &mut errors);
        match self.behaviour.definition {
            Some(definition) => definition.validate(new, Some(old), &mut errors),
            None => {
                match target {
                    Target::Object | Target::Status => (self.behaviour.validate_update)(new, old, &mut errors),
                    Target::EphemeralContainers | Target::Resize => {
                        (self.behaviour.validate_part)(new, old, target, &mut errors);
                    }
                }
                errors.extend(self.newly_wrong(new, old));
            }
        }
        errors
    }

    /// What is wrong with `new` by itself. What was stored by rules of another time may stay: else nobody could change anything
    /// else about it, not even its status.
    fn newly_wrong(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        let mut wrong = Vec::new();
        (self.behaviour.validate)(new, &mut wrong);
        if !wrong.is_empty() {
            let mut before = Vec::new();
            (self.behaviour.validate)(old, &mut before);
            wrong.retain(|error| !before.contains(error));
        }
        wrong
    }

    /// What its writer had better not say, though it is allowed: sentences for people. Of the successor of an old object only
    /// when something changed that its generation counts, if it has one.
    pub fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.is_custom() {
            meta::warn_of_finalizers(object, old, &mut warnings);
        }
        let same = |old: &Value| self.behaviour.counts_generation && meta::generation(old) == meta::generation(object);
        if !old.is_some_and(same) {
            (self.behaviour.warn)(object, old, &mut warnings);
        }
        warnings
    }

    /// What everybody is told who uses this version of the kind.
    pub fn deprecation(&self) -> Option<&'static str> {
        match self.behaviour.definition {
            Some(definition) => definition.warning(),
            None => self.behaviour.deprecated,
        }
    }

    /// One row of a table: a cell for each of [`Kind::columns`].
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match self.behaviour.definition {
            Some(definition) => definition.cells(object, now),
            None => (self.behaviour.cells)(object, now),
        }
    }

    /// The text that a field selector compares; `None` when the kind does not offer this field.
    pub fn selectable_field(&self, object: &Value, path: &str) -> Option<String> {
        let absent = match path {
            "metadata.name" | "metadata.namespace" => "",
            _ => self.selectable_fields.iter().find(|(name, _)| *name == path)?.1,
        };
        // The one field whose selector is not its path: an event's source, by its component.
        let path = if path == "source" { "source.component" } else { path };
        let mut value = object;
        for segment in path.split('.') {
            value = &value[segment];
        }
        Some(match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => absent.to_owned(),
        })
    }

    /// Whether a replacement of what is not there makes it, as Kubernetes allows for a few kinds.
    pub fn is_created_by_update(&self) -> bool {
        self.behaviour.created_by_update
    }

    /// How a strategic merge treats the field at a dotted path without indices, such as `spec.template.spec.containers`.
    /// `None` means the usual: maps merge, lists and scalars are replaced.
    pub fn merge_key(&self, path: &str) -> Option<merge::Rule> {
        merge::find(path, self.merge_rules)
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("group", &self.group).field("kind", &self.kind).finish_non_exhaustive()
    }
}
