output "urls" {
  description = "Where the API and each hosted service answer."
  value       = { for name, host in local.hosts : name => "https://${host}" }
}

output "dns_name" {
  description = "Name of the load balancer, for records you keep yourself."
  value       = aws_lb.this.dns_name
}

output "routing" {
  description = "What the rollout moves: load balancer, listener, the rule with the weights, and a target group a colour."
  value = {
    load_balancer_arn        = aws_lb.this.arn
    load_balancer_arn_suffix = aws_lb.this.arn_suffix
    listener_arn             = aws_lb_listener.https.arn
    rule_arn                 = aws_lb_listener_rule.api.arn
    target_group_arns        = { for slot in ["blue", "green"] : slot => aws_lb_target_group.this[slot].arn }
  }
}

output "target_group_suffixes" {
  description = "Target groups by service, as metrics name them."
  value       = { for name, group in aws_lb_target_group.this : name => group.arn_suffix }
}

output "services" {
  description = "Name of each ECS service, by container."
  value       = merge({ for slot, service in aws_ecs_service.api : slot => service.name }, { for name, service in aws_ecs_service.other : name => service.name })
}

output "task_families" {
  description = "Task definition family of each container; a deployment registers the next revision."
  value       = { for name, task in aws_ecs_task_definition.this : name => task.family }
}

output "inside" {
  description = "Address of each container inside the VPC."
  value       = { for name, service in aws_service_discovery_service.this : name => "http://${name}.${aws_service_discovery_private_dns_namespace.this.name}:${local.inside[name]}" }
}

output "role_arns" {
  description = "Roles that a deployment passes on to new revisions."
  value       = concat([aws_iam_role.execution.arn], [for role in aws_iam_role.service : role.arn])
}

output "user_pool_id" {
  description = "Pool to invite people into; null without users."
  value       = one(aws_cognito_user_pool.this[*].id)
}

output "router_settings" {
  description = "RISKCAST_ settings of whoever moves traffic."
  value       = local.router
}
