"""Forecasters, each in its own file, by the name products know them under."""

ENGINES = {
    "log_ols": "riskcast.models.linear:LogOls",
    "log_ridge": "riskcast.models.linear:LogRidge",
    "gamma_glm": "riskcast.models.gamma_glm:GammaGlm",
    "lightgbm_hybrid": "riskcast.models.lightgbm_hybrid:LightgbmHybrid",
}
