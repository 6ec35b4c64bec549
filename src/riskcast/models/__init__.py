"""Forecasters, each in its own file, by the name products know them under."""

ENGINES = {
    "log_ols": "riskcast.models.linear:LogOls",
    "log_ridge": "riskcast.models.linear:LogRidge",
    "gamma_glm": "riskcast.models.gamma_glm:GammaGlm",
    "lightgbm_hybrid": "riskcast.models.lightgbm_hybrid:LightgbmHybrid",
    "xgboost_hybrid": "riskcast.models.xgboost_hybrid:XgboostHybrid",
    # Benchmarks: they answer along time, not from a single row, and cannot be served.
    "level_har": "riskcast.models.level_har:LevelHar",
    "arx": "riskcast.models.arx:Arx",
    "garch": "riskcast.models.garch:Garch",
}
