"""How every page shows things: a chart with its table and CSV, and the state of the data on top."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl
import streamlit as st


def chart(title: str, figure: go.Figure, table: pl.DataFrame, note: str = "") -> None:
    """Show a chart, and its numbers as a table and as CSV for who cannot or will not look."""
    st.subheader(title)
    if note:
        small(note)
    if table.is_empty():
        st.info("Nothing yet.")
        return
    st.plotly_chart(figure, width="stretch", key=title)
    numbers(title, table)


def small(text: str) -> None:
    """Show text that matters less; unlike Streamlit's caption it is dark enough to be read."""
    st.markdown(f":small[{text}]")


def numbers(title: str, table: pl.DataFrame) -> None:
    """Show a table that can be folded out and taken away."""
    with st.expander(f"Table: {title.lower()}, {table.height:,} rows"):
        st.dataframe(table.to_pandas(), hide_index=True, width="stretch")
        name = title.lower().replace(" ", "_").replace(",", "")
        st.download_button("CSV", table.write_csv(), f"{name}.csv", "text/csv", key=f"{title} csv")


def banner(*, simulated: bool, clock: str, now: str, stale: list[str], fault: str) -> None:
    """Say first what a reader must know before believing a number."""
    if fault:
        st.error(
            f"The API gives no forecast; below is the last published one. {fault}",
            icon=":material/error:",
        )
    if stale:
        st.warning(f"Stale: {', '.join(stale)}", icon=":material/warning:")
    if simulated:
        st.info(
            f"Simulated clock: the data ({clock}) end at {now}; nothing here is live.",
            icon=":material/science:",
        )
    else:
        small(f"Clock: {clock}, {now}")
