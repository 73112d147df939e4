mod job_file;
mod run_machine;
mod schedule;
mod simulation;
