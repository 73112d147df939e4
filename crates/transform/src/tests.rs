mod compiling;
mod fixtures;
mod golden;
mod problems;
mod projects;
mod rewriting;
mod selection;
