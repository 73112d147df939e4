mod compiling;
mod fixtures;
mod golden;
mod more_nodes;
mod problems;
mod projects;
mod rewriting;
mod selection;
