"""The dashboard as Streamlit runs it: ``streamlit run`` this file."""

import streamlit as st

from riskcast.dashboard import pages

st.set_page_config(page_title="Riskcast", page_icon="📈", layout="wide")
st.navigation(
    [
        st.Page(pages.forecast, title="Forecast", icon=":material/monitoring:", default=True),
        st.Page(pages.regimes, title="Regimes", icon=":material/thermostat:"),
        st.Page(pages.skill, title="Skill", icon=":material/target:"),
        st.Page(pages.calibration, title="Calibration", icon=":material/balance:"),
        st.Page(pages.health, title="Health", icon=":material/vital_signs:"),
        st.Page(pages.deployments, title="Deployments", icon=":material/rocket_launch:"),
    ]
).run()
