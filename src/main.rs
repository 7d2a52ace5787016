#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    hookos::cli::main()
}
