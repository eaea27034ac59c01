//! Options of every command.

use clap::Args;

/// Each wins over its environment variable, and that over the context.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Queue and output")]
pub struct Global {
    /// Address of the queue, such as http://127.0.0.1:8787/api/predict/demo [env: EDGEQUEUE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Token of the service; `-` reads it from standard input [env: EDGEQUEUE_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Consumer group [env: EDGEQUEUE_GROUP] [default: default_group]
    #[arg(long, global = true, value_name = "NAME")]
    pub group: Option<String>,
    /// Consumer, unique in its group [env: EDGEQUEUE_USER] [default: default_user]
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Named set of the four above [env: EDGEQUEUE_CONTEXT] [default: the one in use]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The output queue of the service instead of its input queue
    #[arg(short = 'k', long, global = true)]
    pub sink: bool,
    /// The queue of dead letters
    #[arg(long, global = true)]
    pub rear: bool,
    /// One JSON object per line on standard output, errors as one on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Nothing but the data itself: indexes of a put, bodies of a get or watch
    #[arg(short = 'q', long, global = true)]
    pub quiet: bool,
}
