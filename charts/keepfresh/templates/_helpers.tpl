{{/* The common part of all names: the release's name, unless overridden. */}}
{{- define "keepfresh.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "keepfresh.serviceAccountName" -}}
{{- default (ternary (include "keepfresh.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end }}

{{/* What never changes of the Pods' labels, and only theirs: helm test's Pod is
not to get the Service's traffic. */}}
{{- define "keepfresh.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "keepfresh.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "keepfresh" -}}
{{- toYaml (merge $labels .Values.commonLabels) -}}
{{- end }}

{{/* keepfresh.meta (dict "root" $ "name" … "namespace" … "labels" … "annotations" …)
is an object's metadata; all but root and name may be missing. */}}
{{- define "keepfresh.meta" -}}
{{- $meta := dict "name" .name -}}
{{- with .namespace }}{{ $_ := set $meta "namespace" . }}{{ end -}}
{{- $labels := merge (include "keepfresh.labels" .root | fromYaml) (default dict .labels) -}}
{{- $_ := set $meta "labels" $labels -}}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}{{ $_ := set $meta "annotations" . }}{{ end -}}
metadata:
  {{- toYaml $meta | nindent 2 }}
{{- end }}

{{- define "keepfresh.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{/* keepfresh.rules (dict "root" $ "file" … "kind" … "namespace" …) are the rules of the
file's first role of that kind, in that namespace if one is given. The files are copies
from config/rbac, which is generated from the code. */}}
{{- define "keepfresh.rules" -}}
{{- $found := false -}}
{{- range splitList "\n---\n" (printf "\n%s" (.root.Files.Get .file)) -}}
{{- $role := fromYaml . -}}
{{- if and (not $found) (eq (default "" $role.kind) $.kind) (or (not $.namespace) (eq $.namespace (dig "metadata" "namespace" "" $role))) -}}
{{- $found = true -}}
rules:
{{ toYaml $role.rules }}
{{- end -}}
{{- end -}}
{{- if not $found }}{{ fail (printf "the chart's %s holds no %s: it was not packaged whole" .file .kind) }}{{ end -}}
{{- end }}

{{/* keepfresh.requireKind (dict "root" $ "kind" … "value" …) ends with an error
where the cluster has no such kind of the Prometheus operator's. */}}
{{- define "keepfresh.requireKind" -}}
{{- $api := printf "monitoring.coreos.com/v1/%s" .kind -}}
{{- if and .root.Values.metrics.requireCRDs (not (.root.Capabilities.APIVersions.Has $api)) -}}
{{- fail (printf "\n\n%s is true, but the cluster has no %s (monitoring.coreos.com/v1).\nInstall the Prometheus operator's CRDs first, or set %s=false.\n(helm template does not ask the cluster: add --api-versions %s, or set metrics.requireCRDs=false.)\n" .value .kind .value $api) -}}
{{- end -}}
{{- end }}

{{/* keepfresh.tlsConfig (dict "root" $ "given" …) says how Prometheus is to trust
the metrics port. */}}
{{- define "keepfresh.tlsConfig" -}}
{{- if .given -}}
{{- toYaml .given -}}
{{- else if .root.Values.metrics.certSecret -}}
ca:
  secret:
    name: {{ .root.Values.metrics.certSecret }}
    key: ca.crt
serverName: {{ include "keepfresh.fullname" .root }}-metrics.{{ .root.Release.Namespace }}.svc
{{- else -}}
insecureSkipVerify: true
{{- end -}}
{{- end }}

{{/* What a ServiceMonitor's endpoint and a PodMonitor's have in common. The
operator's labels namespace and policy are those of a CachePolicy: honorLabels
has Prometheus leave them as they are. */}}
{{- define "keepfresh.scrape" -}}
honorLabels: true
{{- with .authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
