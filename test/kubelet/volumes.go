package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// payload is what a volume holds, by path.
type payload map[string][]byte

// makeRoot makes the root directory of the process: the program, and what the container mounts.
func (p *pod) makeRoot(ctx context.Context, object *corev1.Pod, container *corev1.Container) error {
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	p.tokens = map[string]time.Time{}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	program := filepath.Join(p.dir, "portcullis")
	if err := os.Link(p.k.options.Program, program); err != nil {
		text, err := os.ReadFile(p.k.options.Program)
		if err != nil {
			return err
		}
		if err := os.WriteFile(program, text, 0o755); err != nil {
			return err
		}
	}
	return p.mount(ctx, object, container)
}

// refresh writes what has changed in the mounted volumes.
func (p *pod) refresh(ctx context.Context) error {
	object := p.object.Load()
	return p.mount(ctx, object, &object.Spec.Containers[0])
}

func (p *pod) mount(ctx context.Context, object *corev1.Pod, container *corev1.Container) error {
	for _, m := range container.VolumeMounts {
		for i := range object.Spec.Volumes {
			v := &object.Spec.Volumes[i]
			if v.Name != m.Name {
				continue
			}
			if !m.ReadOnly || m.SubPath != "" {
				return fmt.Errorf("this kubelet mounts whole volumes, read-only: %s", m.Name)
			}
			content, mode, err := p.content(ctx, object, v)
			if err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
			if content == nil {
				continue
			}
			group := -1
			if object.Spec.SecurityContext.FSGroup != nil && os.Getuid() == 0 {
				group = int(*object.Spec.SecurityContext.FSGroup)
			}
			if err := write(filepath.Join(p.dir, m.MountPath), content, mode, group); err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
		}
	}
	return nil
}

// content is what a volume holds now; nil if it is as it was.
func (p *pod) content(ctx context.Context, object *corev1.Pod, v *corev1.Volume) (payload, fs.FileMode, error) {
	switch {
	case v.ConfigMap != nil:
		out, err := p.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Items)
		return out, fs.FileMode(ptr.Deref(v.ConfigMap.DefaultMode, 0o644)), err
	case v.Secret != nil:
		secret, err := p.k.client.CoreV1().Secrets(object.Namespace).Get(ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, 0, err
		}
		return payload(secret.Data), fs.FileMode(ptr.Deref(v.Secret.DefaultMode, 0o644)), nil
	case v.Projected != nil:
		out, err := p.projected(ctx, object, v)
		return out, fs.FileMode(ptr.Deref(v.Projected.DefaultMode, 0o644)), err
	}
	return nil, 0, errors.New("this kubelet knows ConfigMaps, Secrets and projected volumes alone")
}

func (p *pod) configMap(ctx context.Context, name string, items []corev1.KeyToPath) (payload, error) {
	object, err := p.k.client.CoreV1().ConfigMaps(p.k.options.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	out := payload{}
	for key, value := range object.Data {
		out[key] = []byte(value)
	}
	if len(items) == 0 {
		return out, nil
	}
	chosen := payload{}
	for _, item := range items {
		chosen[item.Path] = out[item.Key]
	}
	return chosen, nil
}

// projected is the volume with the ServiceAccount's token. It is renewed when four fifths of the token's time are over.
func (p *pod) projected(ctx context.Context, object *corev1.Pod, v *corev1.Volume) (payload, error) {
	if again, known := p.tokens[v.Name]; known && time.Now().Before(again) {
		return nil, nil
	}
	out := payload{}
	for _, source := range v.Projected.Sources {
		switch {
		case source.ServiceAccountToken != nil:
			asked := source.ServiceAccountToken
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
				ExpirationSeconds: asked.ExpirationSeconds,
				BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: object.Name, UID: object.UID},
			}}
			if asked.Audience != "" {
				request.Spec.Audiences = []string{asked.Audience}
			}
			answer, err := p.k.client.CoreV1().ServiceAccounts(object.Namespace).CreateToken(ctx, object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
			if err != nil {
				return nil, err
			}
			out[asked.Path] = []byte(answer.Status.Token)
			p.tokens[v.Name] = time.Now().Add(time.Until(answer.Status.ExpirationTimestamp.Time) * 4 / 5)
		case source.ConfigMap != nil:
			files, err := p.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Items)
			if err != nil {
				return nil, err
			}
			for name, text := range files {
				out[name] = text
			}
		case source.DownwardAPI != nil:
			for _, item := range source.DownwardAPI.Items {
				text, err := p.field(object, item.FieldRef)
				if err != nil {
					return nil, err
				}
				out[item.Path] = []byte(text)
			}
		default:
			return nil, errors.New("this kubelet does not know one of its sources")
		}
	}
	return out, nil
}

// write replaces the files of a volume all at once, as a kubelet does: they are links through ..data, which is a link to a directory
// of this writing's own.
func write(dir string, content payload, mode fs.FileMode, group int) error {
	if same(dir, content) {
		return nil
	}
	version := ".." + strconv.FormatInt(time.Now().UnixNano(), 10)
	if err := os.MkdirAll(filepath.Join(dir, version), 0o755); err != nil {
		return err
	}
	for name, text := range content {
		path := filepath.Join(dir, version, name)
		if err := os.WriteFile(path, text, mode); err != nil {
			return err
		}
		if group >= 0 {
			if err := os.Chown(path, 0, group); err != nil {
				return err
			}
			mode |= 0o040
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(version, next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	for name := range content {
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

// same says whether the directory holds just that.
func same(dir string, content payload) bool {
	present, err := os.ReadDir(filepath.Join(dir, "..data"))
	if err != nil || len(present) != len(content) {
		return false
	}
	for name, text := range content {
		old, err := os.ReadFile(filepath.Join(dir, "..data", name))
		if err != nil || !bytes.Equal(old, text) {
			return false
		}
	}
	return true
}
