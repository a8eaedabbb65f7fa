{{/*
The matchConditions of the webhooks. They say the same as pkg/server/registration, which tells why; a test compares the two.
*/}}

{{- define "portcullis.changes" -}}
request.operation != 'UPDATE'
{{- range . }} || has(object.{{ . }}) != has(oldObject.{{ . }}) || has(object.{{ . }}) && object.{{ . }} != oldObject.{{ . }}{{ end }}
{{- end }}

{{- define "portcullis.judged" -}}
- name: changes-something
  expression: {{ include "portcullis.changes" .fields | quote }}
{{- $users := list -}}
{{- range (dig "exemptions" "users" list .Values.config) -}}
{{- if and (hasPrefix "system:" .) (not (regexMatch "['\\\\\n\r]" .)) -}}{{- $users = append $users . -}}{{- end -}}
{{- end -}}
{{- with $users | sortAlpha | uniq }}
- name: not-an-exempt-system-user
  expression: {{ printf "!(request.userInfo.username in ['%s'])" (join "', '" .) | quote }}
{{- end }}
{{- end }}

{{- define "portcullis.wrote" -}}
{{- $manifest := "object.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']" -}}
has(object.metadata.annotations) && 'kubectl.kubernetes.io/last-applied-configuration' in object.metadata.annotations && {{ $manifest }}.contains('"{{ . }}"') && !{{ $manifest }}.contains('"policyTypes":["') || has(object.metadata.managedFields) && object.metadata.managedFields.exists(m, m.operation == 'Apply' && has(m.fieldsV1) && 'f:spec' in m.fieldsV1 && 'f:{{ . }}' in m.fieldsV1['f:spec'])
{{- end }}

{{- define "portcullis.lacks" -}}
!has(object.metadata.labels) || !('{{ . }}' in object.metadata.labels)
{{- end }}

{{/* What a mutation of NetworkPolicies could concern; empty if none is on. */}}
{{- define "portcullis.policyRepairs" -}}
{{- $m := dig "mutations" dict .Values.config -}}
{{- $alternatives := list -}}
{{- if dig "policyTypes" true $m -}}
{{- $alternatives = append $alternatives "!has(object.spec.policyTypes) || size(object.spec.policyTypes) == 0" -}}
{{- range list "Ingress" "Egress" -}}
{{- $alternatives = append $alternatives (printf "(!('%s' in object.spec.policyTypes) && (%s))" . (include "portcullis.wrote" (lower .))) -}}
{{- end -}}
{{- end -}}
{{- range $m.copyNamespaceLabels -}}
{{- $alternatives = append $alternatives (include "portcullis.lacks" .) -}}
{{- end -}}
{{- if $m.dnsEgress -}}
{{- $alternatives = append $alternatives "!has(object.spec.policyTypes) || 'Egress' in object.spec.policyTypes" -}}
{{- end -}}
{{ join " || " $alternatives }}
{{- end }}

{{/* What a mutation of Namespaces could concern; empty if none is on. */}}
{{- define "portcullis.namespaceRepairs" -}}
{{- $m := dig "mutations" dict .Values.config -}}
{{- $alternatives := list -}}
{{- range $m.namespaceLabels | default dict | keys | sortAlpha -}}
{{- $alternatives = append $alternatives (include "portcullis.lacks" .) -}}
{{- end -}}
{{- $label := dig "namespaceNameLabel" true $m -}}
{{- if kindIs "bool" $label -}}{{- $label = dict "enabled" $label -}}{{- end -}}
{{- if dig "enabled" true $label -}}
{{- $key := dig "key" "networking/namespace" $label -}}
{{- $alternatives = append $alternatives (printf "has(object.metadata.name) && (%s || object.metadata.labels['%s'] != object.metadata.name)" (include "portcullis.lacks" $key) $key) -}}
{{- end -}}
{{ join " || " $alternatives }}
{{- end }}

{{- define "portcullis.untouched" -}}
- name: not-being-deleted
  expression: '!has(object.metadata.deletionTimestamp)'
- name: without-controller
  expression: '!has(object.metadata.ownerReferences) || !object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)'
{{- end }}
