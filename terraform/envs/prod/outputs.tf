output "riskcast" {
  description = "Everything a person or a workflow needs to know of this environment."
  value       = module.riskcast
}
