{{- define "portcullis.selector" -}}
app.kubernetes.io/name: portcullis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "portcullis.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* The namespaces about whose policies nobody is asked, as config.Load has them. */}}
{{- define "portcullis.exemptNamespaces" -}}
{{- $exemptions := dig "exemptions" dict .Values.config -}}
{{- $names := list -}}
{{- if not $exemptions.excludeDefaults -}}
{{- $names = list "kube-system" "kube-public" "kube-node-lease" -}}
{{- end -}}
{{- $names = concat $names ($exemptions.namespaces | default list) -}}
{{- if not $exemptions.excludeDefaults -}}
{{- $names = append $names .Release.Namespace -}}
{{- end -}}
{{ $names | uniq | toJson }}
{{- end }}

{{/* Whether the namespace has a default deny: not where the cluster's own pods are, or those of whoever names no namespace. */}}
{{- define "portcullis.defaultDeny" -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.defaultDeny -}}
{{- if not (has .Release.Namespace (list "default" "kube-system" "kube-public" "kube-node-lease")) -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* The addresses of the API server beside those that are given, where Helm is allowed to ask for them. */}}
{{- define "portcullis.apiServerCIDRs" -}}
{{- $cidrs := .Values.networkPolicy.apiServer.cidrs -}}
{{- range (lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "").items -}}
{{- if eq (dig "metadata" "labels" "kubernetes.io/service-name" "" .) "kubernetes" -}}
{{- range .endpoints -}}{{- range .addresses -}}
{{- $cidrs = append $cidrs (ternary (printf "%s/128" .) (printf "%s/32" .) (contains ":" .)) -}}
{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{ $cidrs | uniq | toJson }}
{{- end }}

{{/* Its ports, in the same way. */}}
{{- define "portcullis.apiServerPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.apiServer.ports -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range (lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "").items -}}
{{- if eq (dig "metadata" "labels" "kubernetes.io/service-name" "" .) "kubernetes" -}}
{{- range .ports -}}{{- $ports = append $ports (int .port) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{ $ports | uniq | toJson }}
{{- end }}
