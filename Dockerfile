# The image of Portcullis: one static program on a base without a shell, run by a user without rights.
#
#   docker build .                                        compiles in a container
#   make image                                            compiles outside, and takes bin/portcullis: --target runtime
#   docker buildx build --platform linux/amd64,linux/arm64 .
#
# buildah 1.28 does not know BUILDPLATFORM: with --platform, it needs --build-arg BUILDPLATFORM=linux/amd64, or what it runs on, too.
ARG BASE=gcr.io/distroless/static:nonroot
ARG GOLANG=golang:1.26

FROM ${BASE} AS base
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Portcullis" \
      org.opencontainers.image.description="An exact admission guard for Kubernetes NetworkPolicies" \
      org.opencontainers.image.source="https://github.com/portcullis-dev/portcullis" \
      org.opencontainers.image.documentation="https://github.com/portcullis-dev/portcullis/blob/main/docs/install.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["/portcullis"]

# With a program that is built already, for the platform of the image.
FROM base AS runtime
ARG BINARY=bin/portcullis
COPY --chmod=0555 ${BINARY} /portcullis

FROM --platform=${BUILDPLATFORM} ${GOLANG} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -ldflags="-s -w" -o /out/portcullis ./cmd/portcullis

FROM base
COPY --chmod=0555 --from=build /out/portcullis /portcullis
