"""TLS in front of a plain loopback server, for tests.

tls_front.py LISTEN_PORT BACKEND_PORT CERT KEY [CLIENT_CA]
With CLIENT_CA, clients must show a certificate of that authority.
"""
import socket
import ssl
import sys
import threading


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(raw, context, backend_port):
    try:
        client = context.wrap_socket(raw, server_side=True)
    except OSError:
        raw.close()
        return
    backend = socket.create_connection(("127.0.0.1", backend_port))
    threading.Thread(target=pump, args=(client, backend), daemon=True).start()
    pump(backend, client)


def main():
    listen_port, backend_port = int(sys.argv[1]), int(sys.argv[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    if len(sys.argv) > 5:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[5])
    listener = socket.create_server(("127.0.0.1", listen_port))
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve, args=(raw, context, backend_port), daemon=True).start()


main()
