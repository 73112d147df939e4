use headwater_project::config::decode;
use headwater_project::{Diagnostics, Files, tree};

use crate::{Command, Job, JobConfig, MissedTicks};

fn read(text: &str) -> (Option<Job>, String) {
    let mut files = Files::default();
    let id = files.add("jobs/hourly.yml", text);
    let (tree, mut diagnostics) = tree::parse(id, text);
    let config = decode::<JobConfig>(&tree, &mut diagnostics);
    let job = config.and_then(|config| Job::from_config(config, &tree, &mut diagnostics));
    (job, render(&diagnostics, &files))
}

fn render(diagnostics: &Diagnostics, files: &Files) -> String {
    diagnostics.found.iter().map(|found| found.render(files)).collect()
}

#[test]
fn a_job_file_becomes_a_job() {
    let (job, problems) = read(
        "name: hourly\nselect: [+core, tag:nightly]\nexclude: broken\n\
         schedule: {cron: \"5 * * * *\", timezone: Europe/Berlin, missed: run_all}\nretries: {count: 2, delay: 1m}\n",
    );
    let job = job.unwrap();
    assert_eq!(problems, "");
    assert_eq!(
        (job.select, job.exclude),
        (vec!["+core".to_owned(), "tag:nightly".to_owned()], vec!["broken".to_owned()])
    );
    assert_eq!((job.command, job.missed, job.retry_count), (Command::Build, MissedTicks::RunAll, 2));
    assert_eq!(job.schedule.unwrap().definition(), "cron 5 * * * * Europe/Berlin");
}

fn check(schedule: &str, expected: &str) {
    let (job, problems) = read(&format!("name: hourly\nschedule: {schedule}\n"));
    assert!(job.is_none(), "{schedule}");
    assert!(problems.contains(expected), "{schedule}: {problems}");
}

#[test]
fn problems_name_place_and_remedy() {
    check("{cron: \"61 * * * *\"}", "jobs/hourly.yml:2:18\n");
    check("{cron: \"0 0 30 2 *\"}", "never fires");
    check("{cron: \"0 0 * * *\", timezone: Europe/Berlim}", "`Europe/Berlim` is not a time zone");
    check("{every: 30s, cron: \"0 0 * * *\"}", "either `cron` or `every`");
    check("{every: 30s, timezone: UTC}", "`timezone` has no meaning beside `every`");
    check("{}", "needs `cron` or `every`");
    check("{every: 0s}", "cannot fire every");
    check("{evry: 30s}", "Did you mean `every`?");
}
