mod constants;
mod importer;
mod interpreter;
mod numbers;
mod restricted;
mod verdicts;
