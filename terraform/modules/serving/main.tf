# The front: one load balancer with TLS, a firewall before it and a login before what people open.
# Between the colours of the API it splits by weights that the rollout owns.

data "aws_caller_identity" "this" {}
data "aws_region" "this" {}

locals {
  colours = { for slot, port in { blue = 8001, green = 8002 } : slot => port if var.deployment == "weighted" || slot == "blue" }
  # ECS's own blue/green needs a second group although it has one service.
  groups = merge(
    { blue = { port = 8001, health = "/health" }, green = { port = 8002, health = "/health" } },
    { for name, service in local.hosted : name => { port = service.port, health = service.health } },
  )
  hosted = { for name, service in var.services : name => service if service.host != "" }
  hosts  = merge({ api = var.domain }, { for name, service in local.hosted : name => "${service.host}.${var.domain}" })
  # Never served: what belongs to operators, in any spelling.
  closed = ["/admin", "/debug", "/metrics", "/ready"]
}

resource "aws_security_group" "front" {
  name        = "${var.name}-front"
  description = "Load balancer of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-front" })
}

resource "aws_vpc_security_group_ingress_rule" "front" {
  # checkov:skip=CKV_AWS_260:Port 80 only redirects to 443.
  for_each = { for pair in setproduct(var.allowed_cidrs, [80, 443]) : "${pair[0]}:${pair[1]}" => { cidr = pair[0], port = pair[1] } }

  security_group_id = aws_security_group.front.id
  description       = "Callers"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "front" {
  for_each = local.groups

  security_group_id            = aws_security_group.front.id
  description                  = "To ${each.key}"
  referenced_security_group_id = var.task_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

# The login talks to Cognito.
resource "aws_vpc_security_group_egress_rule" "login" {
  security_group_id = aws_security_group.front.id
  description       = "Cognito"
  cidr_ipv4         = "0.0.0.0/0" # Cognito publishes no address ranges of its own
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "service" {
  for_each = local.groups

  security_group_id            = var.task_security_group_id
  description                  = "${each.key} from the load balancer"
  referenced_security_group_id = aws_security_group.front.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

# Steps log to MLflow; the rollout asks each colour whether it is ready.
resource "aws_vpc_security_group_ingress_rule" "inside" {
  for_each = { for name, port in local.inside : name => port if port != null }

  security_group_id            = var.task_security_group_id
  description                  = "${each.key} from steps and services"
  referenced_security_group_id = var.task_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "colours" {
  for_each = local.colours

  security_group_id            = var.task_security_group_id
  description                  = "The rollout to ${each.key}"
  referenced_security_group_id = var.task_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_lb" "this" {
  # checkov:skip=CKV_AWS_150:deletion_protection is a variable, off only where an environment is thrown away.
  # checkov:skip=CKV2_AWS_28:The firewall is put before it in firewall.tf.json, which the rule does not read.
  # checkov:skip=CKV2_AWS_76:The rule set of known bad inputs, Log4j among them, is in the firewall's first rule.
  name                       = var.name
  load_balancer_type         = "application"
  subnets                    = var.public_subnet_ids
  security_groups            = [aws_security_group.front.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  idle_timeout               = 120 # a WebSocket sends something every 30 seconds
  tags                       = var.tags

  access_logs {
    bucket  = var.log_bucket
    prefix  = "alb"
    enabled = true
  }
}

resource "aws_lb_listener" "redirect" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  tags              = var.tags

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn                                            = aws_lb.this.arn
  port                                                         = 443
  protocol                                                     = "HTTPS"
  ssl_policy                                                   = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn                                              = var.certificate_arn
  routing_http_response_strict_transport_security_header_value = "max-age=31536000"
  routing_http_response_x_content_type_options_header_value    = "nosniff"
  routing_http_response_server_enabled                         = false
  tags                                                         = var.tags

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "not found"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "closed" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1
  tags         = var.tags

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "not found"
      status_code  = "404"
    }
  }

  condition {
    host_header {
      values = [var.domain]
    }
  }

  condition {
    path_pattern {
      values = [for path in local.closed : "${path}*"]
    }
  }
}

resource "aws_lb_target_group" "this" {
  # checkov:skip=CKV_AWS_378:TLS ends at the load balancer; targets are in private subnets and let only it in.
  for_each = local.groups

  name                 = "${var.name}-${each.key}"
  port                 = each.value.port
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = "30"
  tags                 = var.tags

  # Alive, not ready: without a champion a server must answer its named 503, not be restarted.
  health_check {
    path                = each.value.health
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

# The one rule whose weights the rollout moves.
resource "aws_lb_listener_rule" "api" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 100
  tags         = var.tags

  action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.this["blue"].arn
        weight = 100
      }

      target_group {
        arn    = aws_lb_target_group.this["green"].arn
        weight = 0
      }
    }
  }

  condition {
    host_header {
      values = [var.domain]
    }
  }

  lifecycle {
    ignore_changes = [action] # what serves is the rollout's to say, never a plan's
  }
}

resource "aws_lb_listener_rule" "hosted" {
  for_each = local.hosted

  listener_arn = aws_lb_listener.https.arn
  priority     = 200 + index(sort(keys(local.hosted)), each.key)
  tags         = var.tags

  dynamic "action" {
    for_each = var.users ? [1] : []

    content {
      type  = "authenticate-cognito"
      order = 1

      authenticate_cognito {
        user_pool_arn              = aws_cognito_user_pool.this[0].arn
        user_pool_client_id        = aws_cognito_user_pool_client.this[0].id
        user_pool_domain           = aws_cognito_user_pool_domain.this[0].domain
        on_unauthenticated_request = "authenticate"
        session_timeout            = 28800 # seconds: a working day
      }
    }
  }

  action {
    type             = "forward"
    order            = 2
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }

  condition {
    host_header {
      values = [local.hosts[each.key]]
    }
  }

  lifecycle {
    precondition {
      condition     = var.users
      error_message = "A host without a login would be open to everybody: set users, or take the host away."
    }
  }
}

resource "aws_route53_record" "this" {
  # checkov:skip=CKV2_AWS_23:An alias of the load balancer above.
  for_each = var.zone_id == "" ? {} : local.hosts

  zone_id = var.zone_id
  name    = each.value
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = true
  }
}
