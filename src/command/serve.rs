//! `serve`: the gateway against the configured systems.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    http::{self, gateway, graphiql::Graphiql},
    schema,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often old samples of the histograms are put together.
const UPKEEP: Duration = Duration::from_secs(5);

/// Runs until the process is asked to stop.
pub async fn run() -> anyhow::Result<ExitCode> {
    let config = match super::configuration() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let _log = super::start_log(&config)?;
    super::install_tls()?;
    let listener = http::bind(config.server.listen).await?;
    let app = App::build(&config, Clock::system()).await?;
    tracing::info!(address = %listener.local_addr()?, "the gateway is starting");
    let graphiql = config.server.graphiql.then(|| Graphiql { examples: gateway::examples(), demo: None });
    serve(&config, app, listener, graphiql, super::stop_signal()?).await?;
    Ok(ExitCode::SUCCESS)
}

/// Answers on a port until told to stop, then lets accepted requests finish.
pub async fn serve(
    config: &Config,
    app: App,
    listener: TcpListener,
    graphiql: Option<Graphiql>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let mut state = gateway::state(config, &app, schema::build(app.clone()), stopping.clone());
    state.metrics = Some(record_metrics()?);
    state.graphiql = graphiql;
    let timeouts = http::Timeouts {
        grace: config.server.shutdown_grace,
        proxies: config.server.trusted_proxies.clone(),
        ..http::Timeouts::default()
    };
    let warming = tokio::spawn({
        let app = app.clone();
        async move { app.warm_up().await }
    });
    let working = tokio::spawn({
        let (app, stopping) = (app.clone(), stopping.clone());
        async move { app.work(stopping).await }
    });
    http::serve(listener, http::Door::new(Arc::new(state)), stopping, timeouts).await;
    warming.abort();
    // It ends with the batch that it is at.
    let _ = working.await;
    app.store.close().await;
    Ok(())
}

/// Collects metrics for `/metrics`.
fn record_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
