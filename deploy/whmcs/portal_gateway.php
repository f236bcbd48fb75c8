<?php
/**
 * Tells the portal gateway what changed in WHMCS. Put this file into includes/hooks/ and its settings outside the
 * web root: see docs/operating.md of the gateway.
 *
 * What is sent: the name of the hook, the time, and ids. Nothing else ever leaves: no names, no addresses, no
 * passwords, no cards, no model objects, no module parameters.
 *
 * The queue is a folder of one file an event, made under another name and then renamed, which is atomic. A folder
 * needs no table, no schema and no upgrade step, works before and after WHMCS has a database connection and outside
 * of WHMCS as well, and an operator can look into it with ls. An event is in the folder before its hook returns; it
 * is sent after the page was delivered, and again from the cron job (and from later pages) until the gateway has
 * taken it. So a gateway that is away loses nothing.
 *
 * A hook must not disturb WHMCS: nothing here throws, prints, or makes a customer wait.
 *
 * PHP 7.4 to 8.3. Settings, as environment variables or in the ini file that PORTAL_GATEWAY_INI names (by default
 * portal_gateway.ini one level above the web root):
 *
 *   PORTAL_GATEWAY_URL     url     where to: https://api.example.jp/webhooks/whmcs
 *   PORTAL_GATEWAY_SECRET  secret  24 bytes or more, one of the gateway's WHMCS_WEBHOOK_SECRETS
 *   PORTAL_GATEWAY_SPOOL   spool   the folder of the queue, outside the web root, writable by PHP alone
 *   PORTAL_GATEWAY_SOURCE  source  a name of this installation (optional)
 */

namespace PortalGateway;

if (!defined('WHMCS')) {
    exit(1);
}

/** Seconds until a try may begin to be answered, and may take as a whole. */
const CONNECT_WITHIN = 1;
const ANSWER_WITHIN = 2;
/** Events of other requests that one page sends beside its own, and seconds that the cron job spends. */
const LEFTOVERS = 20;
const CRON_SECONDS = 60;
/** After this many seconds an event that somebody began to send is free again. */
const ABANDONED = 60;
/** The first and the longest pause before another try, seconds. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 900;

/** Answers that no further try would change: the event is put aside in refused/. */
const FINAL_ANSWERS = [400, 409, 413];

final class Hooks
{
    /** @var array<string, string> */
    private $settings;
    /** @var string[] names of this request's events in the queue */
    private $own = [];
    /** @var resource|object|null */
    private $curl;
    /** @var bool */
    private $isWaiting = false;

    /** @param array<string, string> $settings */
    private function __construct(array $settings)
    {
        $this->settings = $settings;
    }

    public static function install(): void
    {
        $settings = self::settings();
        if ($settings === null) {
            return;
        }
        $hooks = new self($settings);
        foreach (self::table() as $name => $extract) {
            \add_hook($name, 1000, function ($params = []) use ($hooks, $name, $extract) {
                // Nothing may leave this function: neither a value nor an error nor a character.
                try {
                    $params = \is_array($params) ? $params : [];
                    $ids = \array_filter($extract($params));
                    $hooks->enqueue($name, Ids::resolve($name, $ids, $params));
                } catch (\Throwable $ignored) {
                    $hooks->complain($ignored);
                }
            });
        }
        \add_hook('AfterCronJob', 1000, function () use ($hooks) {
            try {
                $hooks->flush(CRON_SECONDS);
            } catch (\Throwable $ignored) {
                $hooks->complain($ignored);
            }
        });
    }

    /** @return array<string, string>|null nothing when it is not set up */
    private static function settings(): ?array
    {
        $ini = [];
        $root = \defined('ROOTDIR') ? \ROOTDIR : \dirname(__DIR__, 2);
        $file = \getenv('PORTAL_GATEWAY_INI') ?: \dirname($root) . '/portal_gateway.ini';
        if (@\is_readable($file)) {
            $ini = @\parse_ini_file($file, false, \INI_SCANNER_RAW) ?: [];
        }
        $settings = [];
        foreach (['url', 'secret', 'spool', 'source'] as $key) {
            $value = \getenv('PORTAL_GATEWAY_' . \strtoupper($key));
            $settings[$key] = \trim((string) ($value !== false ? $value : ($ini[$key] ?? '')));
        }
        if ($settings['url'] === '' || \strlen($settings['secret']) < 24 || $settings['spool'] === '') {
            return null;
        }
        if ($settings['source'] === '') {
            $settings['source'] = (string) (\gethostname() ?: 'whmcs');
        }
        return $settings;
    }

    /**
     * Each hook that changes what the portal shows, and how its ids are found.
     *
     * @return array<string, callable(array<mixed>): array<string, int>>
     */
    private static function table(): array
    {
        $id = static function (array $params, string ...$names): int {
            foreach ($names as $name) {
                if (isset($params[$name]) && \is_numeric($params[$name]) && $params[$name] > 0) {
                    return (int) $params[$name];
                }
            }
            return 0;
        };
        $invoice = static function (array $p) use ($id): array {
            // "invocieid" is how the vendor spells it.
            return [
                'invoice' => $id($p, 'invoiceid', 'invoiceId', 'InvoiceID', 'invocieid', 'originalinvoiceid'),
                'other_invoice' => $id($p, 'newinvoiceid'),
                'client' => $id($p, 'userid', 'userId'),
                'order' => $id($p, 'orderId', 'OrderID'),
            ];
        };
        $service = static function (array $p) use ($id): array {
            return [
                'service' => $id($p, 'serviceid', 'relid'),
                'client' => $id($p, 'userid', 'clientid', 'clientId'),
            ];
        };
        // Of the module's parameters two ids are read; the rest holds the server's root password.
        $module = static function (array $p) use ($id, $service): array {
            $inner = isset($p['params']) && \is_array($p['params']) ? $p['params'] : $p;
            return ['service' => $id($inner, 'serviceid'), 'client' => $id($inner, 'userid')];
        };
        $order = static function (array $p) use ($id): array {
            return ['order' => $id($p, 'orderid', 'orderId', 'OrderID'), 'client' => $id($p, 'userId', 'userid')];
        };
        $checkout = static function (array $p) use ($id): array {
            return ['order' => $id($p, 'OrderID'), 'invoice' => $id($p, 'InvoiceID')];
        };
        $client = static function (array $p) use ($id): array {
            return ['client' => $id($p, 'client_id', 'userid', 'clientid')];
        };
        $merge = static function (array $p) use ($id): array {
            return ['client' => $id($p, 'toUserID'), 'other_client' => $id($p, 'fromUserID')];
        };
        $model = static function (array $p): array {
            $id = isset($p['client']->id) ? $p['client']->id : 0;
            return ['client' => \is_numeric($id) ? (int) $id : 0];
        };
        $nothing = static function (array $p): array {
            return [];
        };
        $table = [
            'AfterShoppingCartCheckout' => $checkout,
            'AfterClientMerge' => $merge,
            'PayMethodMigration' => $model,
            'CancellationRequest' => $service,
        ];
        foreach ([
            'InvoiceCreated', 'InvoicePaid', 'InvoiceUnpaid', 'InvoiceCancelled', 'InvoiceRefunded',
            'InvoiceChangeGateway', 'InvoiceSplit', 'UpdateInvoiceTotal', 'AddInvoiceLateFee', 'AddInvoicePayment',
            'AddTransaction', 'ManualRefund', 'OrderPaid',
        ] as $name) {
            $table[$name] = $invoice;
        }
        foreach ([
            'Create', 'Suspend', 'Unsuspend', 'Terminate', 'ChangePackage', 'Custom', 'Renew', 'ChangePassword',
        ] as $name) {
            $table['AfterModule' . $name] = $module;
        }
        foreach ([
            'ServiceEdit', 'ServiceDelete', 'ServiceRecurringCompleted', 'AfterProductUpgrade',
            'AfterConfigOptionsUpgrade', 'AfterAddonUpgrade', 'AddonAdd', 'AddonEdit', 'AddonActivated',
            'AddonActivation', 'AddonSuspended', 'AddonUnsuspended', 'AddonCancelled', 'AddonTerminated',
            'AddonFraud', 'AddonDeleted',
        ] as $name) {
            $table[$name] = $service;
        }
        foreach ([
            'AcceptOrder', 'CancelOrder', 'PendingOrder', 'FraudOrder', 'DeleteOrder', 'CancelAndRefundOrder',
        ] as $name) {
            $table[$name] = $order;
        }
        foreach (['ClientAdd', 'ClientEdit', 'ClientClose', 'PreDeleteClient', 'CCUpdate'] as $name) {
            $table[$name] = $client;
        }
        // AfterCronJob comes every few minutes; the daily run is the one that changes much.
        foreach (['ProductEdit', 'ProductDelete', 'DailyCronJob'] as $name) {
            $table[$name] = $nothing;
        }
        return $table;
    }

    /**
     * Puts an event into the queue. It is there, whatever happens next, when this returns.
     *
     * @param array<string, int> $ids
     */
    private function enqueue(string $hook, array $ids): void
    {
        $id = \bin2hex(\random_bytes(16));
        // Serialised once: these bytes are signed and sent, however often.
        $body = \json_encode([
            'id' => $id,
            'event' => $hook,
            'occurred_at' => \time(),
            'source' => $this->settings['source'],
            'ids' => (object) $ids,
        ], \JSON_UNESCAPED_SLASHES);
        $new = $this->folder('new');
        // Sorted by name is sorted by time. The last part counts the tries.
        $name = \sprintf('%017d-%s.0', (int) (\microtime(true) * 1e6), $id);
        $draft = $this->folder('draft') . '/' . $name;
        if ($new === '' || @\file_put_contents($draft, $body) !== \strlen((string) $body)) {
            throw new \RuntimeException('the queue cannot be written');
        }
        if (!@\rename($draft, $new . '/' . $name)) {
            throw new \RuntimeException('the queue cannot be written');
        }
        $this->own[] = $name;
        if (!$this->isWaiting) {
            $this->isWaiting = true;
            \register_shutdown_function(function () {
                try {
                    $this->afterThePage();
                } catch (\Throwable $ignored) {
                    $this->complain($ignored);
                }
            });
        }
    }

    /** Sends this request's events once its answer is out: by then what they speak of is stored. */
    private function afterThePage(): void
    {
        // The rest of the shutdown may still fire hooks of its own.
        \register_shutdown_function(function () {
            try {
                if (\PHP_SAPI !== 'cli') {
                    @\ignore_user_abort(true);
                    if (\function_exists('fastcgi_finish_request')) {
                        @\fastcgi_finish_request();
                    } elseif (\function_exists('litespeed_finish_request')) {
                        @\litespeed_finish_request();
                    }
                }
                foreach ($this->own as $name) {
                    if (!$this->send($name)) {
                        return;
                    }
                }
                // The gateway is there: what earlier requests left goes, too.
                $this->flush(ANSWER_WITHIN, LEFTOVERS);
            } catch (\Throwable $ignored) {
                $this->complain($ignored);
            }
        });
    }

    /** Sends what is due, oldest first, until the time is over or the gateway is away. */
    private function flush(int $seconds, int $most = \PHP_INT_MAX): void
    {
        $until = \microtime(true) + $seconds;
        $this->release();
        foreach ($this->names('new') as $name) {
            if ($most-- <= 0 || \microtime(true) >= $until) {
                return;
            }
            // The time of a file is when it is due.
            \clearstatcache(true, $this->folder('new') . '/' . $name);
            if ((int) @\filemtime($this->folder('new') . '/' . $name) > \time()) {
                continue;
            }
            if (!$this->send($name)) {
                return;
            }
        }
    }

    /** Gives back what somebody began to send and did not end. */
    private function release(): void
    {
        foreach ($this->names('sending') as $name) {
            $path = $this->folder('sending') . '/' . $name;
            if ((int) @\filemtime($path) < \time() - ABANDONED) {
                @\rename($path, $this->folder('new') . '/' . $name);
            }
        }
    }

    /** Sends one event, unless another process has it. False when the gateway is away. */
    private function send(string $name): bool
    {
        $mine = $this->folder('sending') . '/' . $name;
        // Whoever renames it has it.
        if (!@\rename($this->folder('new') . '/' . $name, $mine)) {
            return true;
        }
        @\touch($mine);
        $body = (string) @\file_get_contents($mine);
        $status = $this->post(\substr($name, 18, 32), $body);
        if ($status >= 200 && $status < 300) {
            @\unlink($mine);
            return true;
        }
        if (\in_array($status, FINAL_ANSWERS, true)) {
            @\rename($mine, $this->folder('refused') . '/' . $name);
            @\error_log('portal_gateway: the gateway refused an event with ' . $status . '; it is in refused/');
            return true;
        }
        $tries = (int) \substr((string) \strrchr($name, '.'), 1);
        $pause = (int) \min(LONGEST_PAUSE, FIRST_PAUSE * (2 ** \min($tries, 10)));
        @\touch($mine, \time() + $pause);
        @\rename($mine, $this->folder('new') . '/' . \substr($name, 0, 50) . '.' . ($tries + 1));
        return false;
    }

    /** Posts a body; gives the status of the answer, 0 without one. Signed for this moment: what is old is refused. */
    private function post(string $id, string $body): int
    {
        $timestamp = (string) \time();
        $signature = \hash_hmac('sha256', $id . '.' . $timestamp . '.' . $body, $this->settings['secret']);
        $headers = [
            'Content-Type: application/json',
            'X-Portal-Event-Id: ' . $id,
            'X-Portal-Timestamp: ' . $timestamp,
            'X-Portal-Signature: ' . $signature,
            'Expect:',
        ];
        if (!\function_exists('curl_init')) {
            return $this->postByStream($headers, $body);
        }
        if ($this->curl === null) {
            $this->curl = \curl_init();
        }
        \curl_setopt_array($this->curl, [
            \CURLOPT_URL => $this->settings['url'],
            \CURLOPT_POST => true,
            \CURLOPT_POSTFIELDS => $body,
            \CURLOPT_HTTPHEADER => $headers,
            \CURLOPT_CONNECTTIMEOUT => CONNECT_WITHIN,
            \CURLOPT_TIMEOUT => ANSWER_WITHIN,
            \CURLOPT_FOLLOWLOCATION => false,
            \CURLOPT_SSL_VERIFYPEER => true,
            \CURLOPT_SSL_VERIFYHOST => 2,
            // Else the answer would be printed.
            \CURLOPT_RETURNTRANSFER => true,
        ]);
        @\curl_exec($this->curl);
        return (int) \curl_getinfo($this->curl, \CURLINFO_RESPONSE_CODE);
    }

    /**
     * The same without the cURL extension.
     *
     * @param string[] $headers
     */
    private function postByStream(array $headers, string $body): int
    {
        $context = \stream_context_create([
            'http' => [
                'method' => 'POST',
                'header' => \array_diff($headers, ['Expect:']),
                'content' => $body,
                'timeout' => ANSWER_WITHIN,
                'follow_location' => 0,
                'ignore_errors' => true,
            ],
            'ssl' => ['verify_peer' => true, 'verify_peer_name' => true],
        ]);
        $stream = @\fopen($this->settings['url'], 'r', false, $context);
        if ($stream === false) {
            return 0;
        }
        $answered = \stream_get_meta_data($stream)['wrapper_data'] ?? [];
        \fclose($stream);
        $first = \is_array($answered) && isset($answered[0]) ? (string) $answered[0] : '';
        return \preg_match('~^HTTP/\S+ (\d{3})~', $first, $found) ? (int) $found[1] : 0;
    }

    /** @return string[] names of the files of a folder of the queue, oldest first */
    private function names(string $folder): array
    {
        $names = @\scandir($this->folder($folder)) ?: [];
        return \array_values(\array_filter($names, static function (string $name): bool {
            return (bool) \preg_match('/^\d{17}-[0-9a-f]{32}\.\d+$/', $name);
        }));
    }

    /** A folder of the queue; it is made when it is missing. */
    private function folder(string $name): string
    {
        $path = $this->settings['spool'] . '/' . $name;
        if (!@\is_dir($path)) {
            @\mkdir($path, 0700, true);
        }
        return $path;
    }

    /** Into PHP's own log, never onto the page; without values, which could be anybody's. */
    private function complain(\Throwable $error): void
    {
        @\error_log('portal_gateway: ' . \get_class($error) . ' at line ' . $error->getLine());
    }
}

/** Finds the client of a row in WHMCS' own tables, while the row is there: a deleted one cannot be asked for later. */
final class Ids
{
    /**
     * @param array<string, int> $ids
     * @param array<mixed> $params
     * @return array<string, int>
     */
    public static function resolve(string $hook, array $ids, array $params): array
    {
        if ($hook === 'ManualRefund' && empty($ids['invoice'])) {
            $ids['invoice'] = self::look('tblaccounts', 'id', $params['transid'] ?? 0, 'invoiceid');
        }
        if (empty($ids['client'])) {
            $sources = [
                ['tblinvoices', $ids['invoice'] ?? 0],
                ['tblhosting', $ids['service'] ?? 0],
                ['tblorders', $ids['order'] ?? 0],
                ['tblupgrades', $params['upgradeid'] ?? 0],
                ['tblhostingaddons', $hook === 'AddonDeleted' ? ($params['id'] ?? 0) : 0],
            ];
            foreach ($sources as $source) {
                $ids['client'] = self::look($source[0], 'id', $source[1], 'userid');
                if ($ids['client'] > 0) {
                    break;
                }
            }
        }
        return \array_filter($ids);
    }

    /** @param mixed $value */
    private static function look(string $table, string $key, $value, string $wanted): int
    {
        if (!\is_numeric($value) || $value <= 0 || !\class_exists('WHMCS\Database\Capsule')) {
            return 0;
        }
        try {
            $found = \WHMCS\Database\Capsule::table($table)->where($key, (int) $value)->value($wanted);
            return \is_numeric($found) ? (int) $found : 0;
        } catch (\Throwable $ignored) {
            return 0;
        }
    }
}

try {
    Hooks::install();
} catch (\Throwable $ignored) {
    // WHMCS goes on without us.
}
