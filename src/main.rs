//! The `sarcolemma` command: hands its arguments to the library and exits with the code that it returns.

fn main() -> std::process::ExitCode {
    sarcolemma::cli::main()
}
