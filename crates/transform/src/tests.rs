mod compiling;
mod fixtures;
mod golden;
mod problems;
mod rewriting;
mod selection;
