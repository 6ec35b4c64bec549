# Riskcast on AWS: the ten modules put together once. envs/dev and envs/prod only differ in values.

locals {
  # Tables, steps and schedules follow from their declarations; `riskcast docs` writes the file.
  declared = jsondecode(file("${path.module}/declared.json"))
  tags     = merge(var.tags, { Project = var.name })
  images   = { for image, url in module.registry.repository_urls : image => "${url}:${var.image_tag}" }
}

module "secrets" {
  source = "./modules/secrets"

  name          = var.name
  tags          = local.tags
  source_keys   = var.source_keys
  recovery_days = var.production ? 30 : 0
}

module "network" {
  source = "./modules/network"

  name               = var.name
  tags               = local.tags
  cidr               = var.cidr
  availability_zones = var.availability_zones
  nat_gateways       = var.production ? "per_zone" : "one"
  # Without endpoints the same calls leave through the gateway, encrypted all the same.
  interface_endpoints = var.production ? ["ecr.api", "ecr.dkr", "logs", "secretsmanager"] : []
  log_key_arn         = module.secrets.log_key_arn
  log_days            = var.kept_days.logs
}

module "storage" {
  source = "./modules/storage"

  name                     = var.name
  tags                     = local.tags
  data_key_arn             = module.secrets.data_key_arn
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  task_security_group_id   = module.network.task_security_group_id
  catalog                  = local.declared.tables
  noncurrent_days          = var.kept_days.objects
  log_days                 = var.kept_days.logs
  quicksight_principal_arn = var.quicksight_principal_arn
  force_destroy            = !var.production
}

module "registry" {
  source = "./modules/registry"

  name               = var.name
  tags               = local.tags
  data_key_arn       = module.secrets.data_key_arn
  github_repository  = var.github_repository
  github_environment = var.github_environment
  oidc_provider_arn  = var.oidc_provider_arn
  force_destroy      = !var.production
}

module "database" {
  source = "./modules/database"

  name                   = var.name
  tags                   = local.tags
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.private_subnet_ids
  task_security_group_id = module.network.task_security_group_id
  data_key_arn           = module.secrets.data_key_arn
  log_key_arn            = module.secrets.log_key_arn
  instance_class         = var.production ? "db.t4g.small" : "db.t4g.micro"
  multi_az               = var.production
  backup_days            = var.kept_days.backups
  log_days               = var.kept_days.logs
  deletion_protection    = var.production
}

module "cache" {
  source = "./modules/cache"

  name                   = var.name
  tags                   = local.tags
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.private_subnet_ids
  task_security_group_id = module.network.task_security_group_id
  data_key_arn           = module.secrets.data_key_arn
  log_key_arn            = module.secrets.log_key_arn
  replicas               = var.production ? 1 : 0
  recovery_days          = var.production ? 30 : 0
  log_days               = var.kept_days.logs
}

module "compute" {
  source = "./modules/compute"

  name                   = var.name
  tags                   = local.tags
  tasks                  = local.declared.tasks
  image                  = local.images["runner"]
  settings               = local.step_settings
  secrets                = local.step_secrets
  lake_bucket_arn        = module.storage.bucket_arns["lake"]
  predictions_table_arn  = module.storage.predictions_table.arn
  home                   = module.storage.home
  data_key_arn           = module.secrets.data_key_arn
  log_key_arn            = module.secrets.log_key_arn
  repository_arn         = module.registry.repository_arns["runner"]
  log_days               = var.kept_days.logs
  mail_identity_arn      = var.mail_identity_arn
  metrics_namespace      = local.declared.metrics.namespace
  router                 = var.deployment != "weighted" ? null : { settings = module.serving.router_settings, rule_arn = module.serving.routing.rule_arn }
  spark                  = var.spark
  subnet_ids             = module.network.private_subnet_ids
  task_security_group_id = module.network.task_security_group_id
}

module "serving" {
  source = "./modules/serving"

  name                   = var.name
  tags                   = local.tags
  vpc_id                 = module.network.vpc_id
  public_subnet_ids      = module.network.public_subnet_ids
  private_subnet_ids     = module.network.private_subnet_ids
  task_security_group_id = module.network.task_security_group_id
  cluster_arn            = module.compute.cluster.arn
  domain                 = var.domain
  certificate_arn        = var.certificate_arn
  zone_id                = var.zone_id
  allowed_cidrs          = var.allowed_cidrs
  deployment             = var.deployment
  api                    = { image = local.images["serving"], count = var.production ? 2 : 1 }
  api_secrets            = merge({ RISKCAST_REDIS = module.cache.url_secret_arn }, local.mlflow_login)
  services               = local.services
  settings               = local.common_settings
  idle_hours             = var.idle_hours
  home                   = module.storage.home
  bucket_arns            = module.storage.bucket_arns
  log_bucket             = module.storage.buckets["logs"]
  repository_arns        = values(module.registry.repository_arns)
  data_key_arn           = module.secrets.data_key_arn
  log_key_arn            = module.secrets.log_key_arn
  log_days               = var.kept_days.logs
  deletion_protection    = var.production
}

module "orchestrator" {
  source = "./modules/orchestrator"

  name                   = var.name
  tags                   = local.tags
  orchestrator           = var.orchestrator
  pipelines              = local.declared.schedules
  paused                 = var.paused
  cluster                = module.compute.cluster
  task_definitions       = module.compute.task_definitions
  role_arns              = module.compute.role_arns
  log_group              = module.compute.log_group
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.private_subnet_ids
  task_security_group_id = module.network.task_security_group_id
  bundle_bucket          = { name = module.storage.buckets["bundle"], arn = module.storage.bucket_arns["bundle"] }
  lake_bucket_arn        = module.storage.bucket_arns["lake"]
  data_key_arn           = module.secrets.data_key_arn
  alarm_topic_arn        = module.monitoring.alarm_topic_arn
  mail_identity_arn      = var.mail_identity_arn
  settings               = local.dag_settings
}

module "monitoring" {
  source = "./modules/monitoring"

  name             = var.name
  tags             = local.tags
  mail_to          = var.mail_to
  log_key_arn      = module.secrets.log_key_arn
  log_bucket       = module.storage.buckets["logs"]
  data_bucket_arns = [module.storage.bucket_arns["lake"], module.storage.bucket_arns["artifacts"]]
  cluster          = module.compute.cluster
  load_balancer    = module.serving.routing.load_balancer_arn_suffix
  target_groups    = module.serving.target_group_suffixes
  database         = module.database.identifier
  cache            = module.cache.replication_group_id
  budget_usd       = var.budget_usd
  metrics          = local.declared.metrics
}
