// One request of GraphQL over HTTP. Cookies are left out: who asks stands in the headers tab, for all to see.
export async function ask(body, headers = {}) {
  const response = await fetch('../graphql', {
    method: 'POST',
    credentials: 'omit',
    headers: {
      accept: 'application/graphql-response+json, application/json;q=0.9',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(body),
  });
  return response.json();
}

// A subscription, as an event stream: each update as it comes.
async function* listen(body, headers = {}) {
  const response = await fetch('../graphql', {
    method: 'POST',
    credentials: 'omit',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    yield await response.json();
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (text + value).split('\n\n');
      text = events.pop();
      for (const event of events) {
        if (event.startsWith('event: complete')) return;
        const data = event.match(/^data: (.*)$/m);
        if (data) yield JSON.parse(data[1]);
      }
    }
  } finally {
    // Whoever stops listening closes the connection.
    await reader.cancel();
  }
}

function isSubscription(document, name) {
  const operations = document?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  const asked = operations.find((operation) => !name || operation.name?.value === name);
  return asked?.operation === 'subscription';
}

// Just after a change of tabs the editor still names the operation of the former one.
export function fetcher({ operationName, ...params }, options) {
  const isThere = operationName && new RegExp(`\\b${operationName}\\b`).test(params.query);
  const body = isThere ? { ...params, operationName } : params;
  const answer = isSubscription(options?.documentAST, body.operationName) ? listen : ask;
  return answer(body, options?.headers);
}

// A document that the gateway may or may not offer.
export async function optional(path) {
  try {
    const response = await fetch(path, { credentials: 'omit' });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
