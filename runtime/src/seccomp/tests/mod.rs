mod constants;
mod interpreter;
mod numbers;
mod verdicts;
